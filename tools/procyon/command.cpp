#include "procyon/command.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <exception>
#include <new>
#include <sstream>
#include <string>
#include <vector>

#include "procyon/bench.hpp"
#include "procyon/gemm.hpp"
#include "procyon/output.hpp"
#include "procyon/suggest.hpp"

namespace procyon::tool {
namespace {

constexpr int done = 0, failed = 1, wrong_usage = 2;

constexpr const char* examples =
    "Examples:\n"
    "  procyon gemm A.npy B.npy -o C.npy    multiply stacks of matrices\n"
    "  procyon bench gemm                   measure processes, threads and one thread\n"
    "  procyon gemm --help                  all options and more examples\n"
    "Exit code: 0 done, 1 the work failed, 2 wrong usage.\n";

/// The subcommand that the arguments led to, or the one before it that met what it does not know.
const CLI::App& at_fault(const CLI::App& app) {
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty() && at->remaining().empty()) {
    at = at->get_subcommands().front();
  }
  return *at;
}

std::string full_name(const CLI::App& app) {
  return app.get_parent() == nullptr ? app.get_name()
                                     : full_name(*app.get_parent()) + " " + app.get_name();
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) names.push_back("-" + name);
  }
  return names;
}

std::vector<std::string> subcommand_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* sub : app.get_subcommands(nullptr)) names.push_back(sub->get_name());
  return names;
}

/// What is wrong with an argument that nothing took.
std::string describe_stray(const CLI::App& app, const std::string& stray) {
  const bool is_option = stray.size() > 1 && stray[0] == '-';
  const std::string word = is_option ? stray.substr(0, stray.find('=')) : stray;
  const auto subcommands = subcommand_names(app);
  if (!is_option && subcommands.empty()) return "'" + word + "' is one argument too many";
  const auto meant = nearest(word, is_option ? option_names(app) : subcommands);
  std::string text =
      fmt::format("{} has no {} '{}'", full_name(app), is_option ? "option" : "subcommand", word);
  if (meant && is_option) return text + "; did you mean " + *meant + "?";
  if (meant) return text + "; did you mean " + full_name(app) + " " + *meant + "?";
  if (!is_option) text += fmt::format("; it has {}", fmt::join(subcommands, " and "));
  return text;
}

/// The first example of the help, which is a right form.
std::string example_of(const CLI::App& app) {
  const std::string footer = app.get_footer();
  const std::string title = "Examples:\n  ";
  const std::size_t begin = footer.find(title);
  if (begin == std::string::npos) return full_name(app) + " --help";
  const std::size_t from = begin + title.size();
  const std::string line = footer.substr(from, footer.find('\n', from) - from);
  return line.substr(0, line.find("   "));
}

/// What CLI11 says of too many or too few values, in the words of the rest.
std::string describe_mismatch(const std::string& what) {
  const std::string name = what.substr(0, what.find_first_of(": "));
  const std::string needs = ": 1 required ";
  if (const std::size_t at = what.find(needs); at != std::string::npos) {
    const std::size_t begin = at + needs.size();
    const std::string type = what.substr(begin, what.find(" missing", begin) - begin);
    return fmt::format("{}: its value is missing; give {} {}", name, name, type);
  }
  if (what.find("At Most 1 required") != std::string::npos) {
    return fmt::format("{}: given more than once; give it once", name);
  }
  if (what.find("disallowed flag override") != std::string::npos) {
    const std::string flag = name.starts_with("-") ? name : "--" + name;
    return fmt::format("{}: it takes no value; give {} alone", flag, flag);
  }
  return what;
}

/// An argument that nothing took explains most errors, whatever CLI11 complained of first.
std::string describe(const CLI::App& app, const CLI::ParseError& error) {
  const bool is_missing = dynamic_cast<const CLI::RequiredError*>(&error) != nullptr;
  const bool is_stray = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr;
  const std::vector<std::string> strays = app.remaining();
  if ((is_missing || is_stray) && !strays.empty()) return describe_stray(app, strays.front());
  const auto subcommands = subcommand_names(app);
  if (is_missing && !subcommands.empty()) {
    return fmt::format("{} does nothing by itself; it has the subcommands {}", full_name(app),
                       fmt::join(subcommands, " and "));
  }
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
    return describe_mismatch(error.what());
  }
  return error.what();
}

int report_usage(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& at = at_fault(app);
  complain(fmt::format("procyon: {}\nFor example: {}\nAll of it: {} --help\n", describe(at, error),
                       example_of(at), full_name(at)));
  return wrong_usage;
}

/// Runs what the arguments say, or prints the help or version that they ask for.
int parse(CLI::App& app, int argc, const char* const* argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& wanted) {
    std::ostringstream text;
    app.exit(wanted, text, text);
    print(text.str());
  }
  return done;
}

}  // namespace

int run_command(int argc, const char* const* argv) {
  CLI::App app("Batched matrix products over worker processes, beside threads and serial.",
               "procyon");
  app.set_version_flag("--version", "procyon " PROCYON_VERSION);
  app.require_subcommand(1);
  app.footer(examples);
  app.option_defaults()->disable_flag_override();
  add_gemm(app);
  add_bench(app);
  try {
    return parse(app, argc, argv);
  } catch (const CLI::ParseError& error) {
    return report_usage(app, error);
  } catch (const std::bad_alloc& error) {
    const std::string what = error.what();
    complain(fmt::format("procyon: {}\n", what == "std::bad_alloc" ? "out of memory" : what));
  } catch (const std::exception& error) {
    complain(fmt::format("procyon: {}\n", error.what()));
  }
  return failed;
}

}  // namespace procyon::tool

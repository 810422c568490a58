//   worker                                 program
//   throw ParseError("no number", 3) --->  catch (const ParseError& e)   e.line(), e.what()
//                                          where(e)                      which item, which process
//
// Exceptions of one's own types leave a worker as what they are, once they are registered.
// Output: item 2 of the list: no number in .x7. \(line 3\).*a RemoteError: Unregistered: what it
// says
#include <procyon/procyon.hpp>

#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

/// Copied with its members: they hold no address of the worker's own memory.
class ParseError : public std::runtime_error {
 public:
  ParseError(const std::string& text, int line)
      : std::runtime_error("no number in \"" + text + '"'), line_(line) {}
  int line() const { return line_; }

 private:
  int line_;
};
PROCYON_EXCEPTION(ParseError)

struct Unregistered : std::runtime_error {
  using std::runtime_error::runtime_error;
};

int parse(const std::string& text) {
  if (text.find_first_not_of("0123456789") != std::string::npos) throw ParseError(text, 3);
  return std::stoi(text);
}

int main(int argc, char** argv) {
  procyon::init(argc, argv);
  procyon::Pool pool(2);
  const std::vector<std::string> words{"4", "15", "x7", "42"};
  try {
    pool.map(&parse, words);
  } catch (const ParseError& error) {
    const procyon::Where* place = procyon::where(error);
    std::cout << "item " << place->item() << " of the list: " << error.what() << " (line "
              << error.line() << ")\n";
  }
  try {
    pool.apply([] { throw Unregistered("what it says"); });
  } catch (const procyon::RemoteError& error) {
    std::cout << "a RemoteError: " << error.type_name() << ": " << error.what() << '\n';
  }
}

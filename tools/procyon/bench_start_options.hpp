// What `procyon bench start` is asked to do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace procyon::tool {

/// The options as written; empty where not given.
struct StartText {
  std::string repetitions = {}, seconds = {}, memory = {}, seed = {};
  std::string json = {}, csv = {}, plot = {};
  bool no_python = false;
};

struct StartOptions {
  std::size_t repetitions = 0;  ///< 0: as many as `seconds` allows
  double seconds = 0;
  std::size_t memory = 0;  ///< bytes, of the row of a large program
  std::uint64_t seed = 0;
  std::string json, csv, plot;
  bool python = true;
};

/// Throws `CLI::ValidationError` with the option, the reason and the nearest right form.
StartOptions check_options(const StartText& text);

}  // namespace procyon::tool

// What all measurements do at their end, and beside themselves.
#pragma once

#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "procyon/statistics.hpp"

namespace procyon::tool {

inline double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Since it was made: what has passed, and what a hypervisor has taken of all CPUs meanwhile.
class Stopwatch {
 public:
  Stopwatch();
  double seconds() const;
  double steal_seconds() const;

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  unsigned long long stolen_;
};

nlohmann::ordered_json summary_json(const Summary& seconds);

/// A file to write; none where the path is empty.
struct Report {
  std::string path;
  std::function<std::string()> text;
};

/// Prints the text and writes the files, also where printing fails. Throws `std::runtime_error`
/// with what failed, or else with `wrong` unless that is empty.
void publish(const std::string& text, const std::vector<Report>& reports, std::string wrong = "");

}  // namespace procyon::tool

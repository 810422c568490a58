// Where a measurement was made: what a reader needs to know to believe or repeat it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace procyon::tool {

/// CPU, kernel, compiler, BLAS and every variable that steers its threads; strings and numbers.
/// The BLAS library is identified by its SHA-256 and build id, this command by its commit.
nlohmann::ordered_json describe_environment();

/// The lines of that which stand above every table: CPU, BLAS, this command.
std::string environment_text(const nlohmann::ordered_json& environment);

/// The CPUs that the calling thread may use: "0,1".
std::string cpu_affinity();

/// Ticks of the machine's processors that a hypervisor gave to somebody else; 0 where unknown.
unsigned long long stolen_ticks();

}  // namespace procyon::tool

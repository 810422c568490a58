// Where a measurement was made: what a reader needs to know to believe or repeat it.
#pragma once

#include <nlohmann/json.hpp>

namespace procyon::tool {

/// CPU, kernel, compiler, BLAS and every variable that steers its threads; strings and numbers.
/// The BLAS library is identified by its build id, size and time of change.
nlohmann::ordered_json describe_environment();

/// Ticks of the machine's processors that a hypervisor gave to somebody else; 0 where unknown.
unsigned long long stolen_ticks();

}  // namespace procyon::tool

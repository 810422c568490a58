// The thread that runs callbacks, as others see it.
#pragma once

#include <cstddef>

namespace procyon::engine {

/// 1 while callbacks wait or run, 0 otherwise.
std::size_t callback_threads();

}  // namespace procyon::engine

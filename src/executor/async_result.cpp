#include <procyon/executor/async_result.hpp>

#include <future>

namespace procyon::detail {

void throw_no_state() { throw std::future_error(std::future_errc::no_state); }

}  // namespace procyon::detail

// The iterator of views whose elements come once, one after the other.
#pragma once

#include <cstddef>
#include <iterator>
#include <type_traits>

namespace procyon::detail {

/// Over a State with `value()`, `advance()` and `at_end()`, whose one place all its copies share.
template <class State, class Element>
class SinglePassIterator {
 public:
  using iterator_concept = std::input_iterator_tag;
  using difference_type = std::ptrdiff_t;
  using value_type = std::remove_const_t<Element>;

  explicit SinglePassIterator(State& state) noexcept : state_(&state) {}
  Element& operator*() const { return state_->value(); }
  SinglePassIterator& operator++() {
    state_->advance();
    return *this;
  }
  void operator++(int) { state_->advance(); }
  friend bool operator==(const SinglePassIterator& at, std::default_sentinel_t) noexcept {
    return at.state_->at_end();
  }

 private:
  State* state_;
};

}  // namespace procyon::detail

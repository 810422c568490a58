// Results in the order in which they come.
#pragma once

#include <procyon/executor/async_result.hpp>
#include <procyon/executor/single_pass.hpp>

#include <chrono>
#include <deque>
#include <iterator>
#include <memory>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

namespace procyon {
namespace detail {

template <class Result>
constexpr bool is_async_result = false;
template <class R>
constexpr bool is_async_result<AsyncResult<R>> = true;

template <class Result>
class Arrivals {
 public:
  explicit Arrivals(std::vector<Result*> waiting) : waiting_(std::move(waiting)) {}

  void begin() {
    if (arrived_.empty()) look();
  }
  void advance() {
    arrived_.pop_front();
    if (arrived_.empty()) look();
  }
  bool at_end() const noexcept { return arrived_.empty(); }
  Result& value() const noexcept { return *arrived_.front(); }

 private:
  // Waits until something has arrived, unless nothing is left.
  void look() {
    while (!waiting_.empty()) {
      const auto still = std::stable_partition(waiting_.begin(), waiting_.end(),
                                               [](Result* each) { return !each->ready(); });
      arrived_.assign(still, waiting_.end());
      waiting_.erase(still, waiting_.end());
      if (!arrived_.empty()) return;
      std::vector<engine::Place> places;
      for (const Result* each : waiting_) places.push_back(each->place());
      engine::Engine::wait_any(places, std::chrono::hours(1));
    }
  }

  std::vector<Result*> waiting_;
  std::deque<Result*> arrived_;
};

}  // namespace detail

/// An input view over AsyncResults, as as_completed returns it.
template <std::ranges::view V>
class AsCompletedView : public std::ranges::view_base {
 public:
  using Result = std::remove_reference_t<std::ranges::range_reference_t<V>>;
  using Iterator = detail::SinglePassIterator<detail::Arrivals<Result>, Result>;

  explicit AsCompletedView(V results) : results_(std::make_unique<V>(std::move(results))) {
    std::vector<Result*> waiting;
    for (Result& each : *results_) waiting.push_back(&each);
    arrivals_ = std::make_unique<detail::Arrivals<Result>>(std::move(waiting));
  }

  /// Waits for the first of those that have not come yet.
  Iterator begin() {
    arrivals_->begin();
    return Iterator(*arrivals_);
  }
  std::default_sentinel_t end() const noexcept { return std::default_sentinel; }

 private:
  std::unique_ptr<V> results_;
  std::unique_ptr<detail::Arrivals<Result>> arrivals_;
};

/// References to the results, each as soon as its task has ended, failed or not; of several pools,
/// if need be. Results of a range that is an lvalue must stay where they are, and may be used
/// through it; others belong to the view, and may be moved from. Sleeps while none is ready.
template <std::ranges::forward_range Range>
requires detail::is_async_result<std::ranges::range_value_t<Range>> &&
    std::is_lvalue_reference_v<std::ranges::range_reference_t<std::views::all_t<Range>>>
auto as_completed(Range&& results) {
  return AsCompletedView<std::views::all_t<Range>>(std::views::all(std::forward<Range>(results)));
}

}  // namespace procyon

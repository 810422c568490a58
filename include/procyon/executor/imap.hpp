// Results of a map while it goes on.
#pragma once

#include <procyon/executor/launcher.hpp>
#include <procyon/executor/single_pass.hpp>

#include <chrono>
#include <cstddef>
#include <deque>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <utility>
#include <vector>

namespace procyon {
namespace detail {

enum class Order { kept, of_arrival };

/// Arguments on their way to the workers, and results on their way back: a window of chunks, each
/// a job of its own, in which every item has an outcome.
template <engine::Domain domain, class F, std::ranges::view V>
class ImapState {
 public:
  using T = std::ranges::range_value_t<V>;
  using R = ResultOf<Spread::no, F, T>;

  ImapState(Launcher<domain> launcher, F f, V xs, MapOptions options, Order order)
      : launcher_(std::move(launcher)),
        f_(std::move(f)),
        xs_(std::move(xs)),
        chunk_(std::max<std::size_t>(options.chunk_size, 1)),
        limit_(item_limit(options)),
        order_(order),
        most_(2 * launcher_.engine().size()) {}
  ImapState(const ImapState&) = delete;
  ImapState& operator=(const ImapState&) = delete;
  // What has not begun never runs. What runs in threads may use what the caller is about to
  // destroy, and is waited for.
  ~ImapState() {
    if (!launcher_.engine().in_this_process()) return;
    for (const Piece& piece : pieces_) {
      if (piece.result) withdraw(piece.result->place());
    }
    for (const Piece& piece : pieces_) {
      if (piece.result && !Launcher<domain>::isolated) piece.result->wait();
    }
  }

  void begin() {
    if (begun_) return;
    begun_ = true;
    advance();
  }
  void advance() {
    if (++position_ < outcomes_.size()) return;
    outcomes_.clear();
    position_ = 0;
    fill();
    if (!pieces_.empty()) {
      Piece piece = take_piece();
      if (piece.result) {
        outcomes_ = std::move(*piece.result).get();
      } else {
        outcomes_.emplace_back(std::move(piece.error));
      }
    } else if (last_error_ != nullptr) {
      outcomes_.emplace_back(std::exchange(last_error_, nullptr));
    }
  }
  bool at_end() const noexcept { return outcomes_.empty(); }
  /// Requires: not at the end.
  Kept<R>& value() {
    if constexpr (std::is_void_v<R>) {
      outcomes_[position_].value();
      return nothing_;
    } else {
      return outcomes_[position_].value();
    }
  }

 private:
  using Outcomes = std::vector<Outcome<R>>;
  struct Piece {
    std::optional<AsyncResult<Outcomes>> result;
    std::exception_ptr error;  // where there is no result: of one item that was not handed in
  };

  static void withdraw(engine::Place place) noexcept {
    try {
      place.engine->cancel(place.job, engine::Engine::Running::left);
    } catch (const SharedMemoryError&) {
      // Then its tasks run, and nobody hears of it.
    }
  }

  void fill() {
    while (!exhausted_ && pieces_.size() < most_) {
      std::deque<T> values;
      pull(values);
      if (!values.empty()) submit(values);
    }
  }

  // The iterator moves on just before its next element is wanted: that may take long, or throw.
  void pull(std::deque<T>& values) {
    try {
      while (!exhausted_ && values.size() < chunk_) {
        if (at_) {
          ++*at_;
        } else {
          at_.emplace(std::ranges::begin(xs_));
        }
        exhausted_ = *at_ == std::ranges::end(xs_);
        if (!exhausted_) values.emplace_back(**at_);
      }
    } catch (...) {
      end_with(std::current_exception());
    }
  }

  void end_with(std::exception_ptr error) noexcept {
    exhausted_ = true;
    if (last_error_ == nullptr) last_error_ = std::move(error);
  }

  // An argument that cannot be handed in fails alone.
  void submit(std::deque<T>& values) {
    try {
      pieces_.push_back({launch(values), nullptr});
    } catch (const PoolClosed&) {
      end_with(std::current_exception());
    } catch (...) {
      submit_each(values, std::current_exception());
    }
  }

  void submit_each(std::deque<T>& values, const std::exception_ptr& error) {
    for (T& value : values) {
      if (values.size() == 1 || !std::is_copy_constructible_v<T>) {
        pieces_.push_back({std::nullopt, error});
      } else {
        std::deque<T> one;
        one.push_back(std::move(value));
        submit(one);
      }
    }
  }

  AsyncResult<Outcomes> launch(std::deque<T>& values) {
    const std::size_t count = values.size();
    Held source(launcher_.engine(),
                make_source_of<Launcher<domain>::isolated>(launcher_.engine(), values));
    return launcher_.pending_all(launcher_.template start<Spread::no, Keep::outcomes>(
        f_, MapOptions{.chunk_size = count, .timeout = limit_}, std::tuple(std::move(source))));
  }

  Piece take_piece() {
    auto chosen = pieces_.begin();
    while (order_ == Order::of_arrival) {
      chosen = std::ranges::find_if(
          pieces_, [](const Piece& piece) { return !piece.result || piece.result->ready(); });
      if (chosen != pieces_.end()) break;
      std::vector<engine::Place> places;
      for (const Piece& piece : pieces_) places.push_back(piece.result->place());
      engine::Engine::wait_any(places, std::chrono::hours(1));
    }
    Piece piece = std::move(*chosen);
    pieces_.erase(chosen);
    return piece;
  }

  Launcher<domain> launcher_;
  F f_;
  V xs_;
  std::size_t chunk_;
  std::chrono::nanoseconds limit_;
  Order order_;
  std::size_t most_;
  std::optional<std::ranges::iterator_t<V>> at_;
  bool begun_ = false;
  bool exhausted_ = false;
  std::exception_ptr last_error_;  // of the arguments, or of the pool: comes after all results
  std::deque<Piece> pieces_;
  Outcomes outcomes_;
  std::size_t position_ = 0;
  [[no_unique_address]] Kept<void> nothing_;
};

}  // namespace detail

/// An input view over results, as imap and imap_unordered return it. It may be moved, also while it
/// is iterated; it has one place, so begin() goes on where it is. Where a task has failed, `*it`
/// throws that failure and `++it` goes on behind it. Where the arguments' iterator throws, the
/// results of the arguments before it come first, then `*it` throws that, and then it ends; so it
/// does with PoolClosed when the pool ends.
///
/// Destroying it leaves no task that has not begun. One that runs ends; threads are waited for.
template <class State>
class ImapView : public std::ranges::view_base {
 public:
  using Iterator = detail::SinglePassIterator<State, detail::Kept<typename State::R>>;

  explicit ImapView(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}

  Iterator begin() {
    state_->begin();
    return Iterator(*state_);
  }
  std::default_sentinel_t end() const noexcept { return std::default_sentinel; }

 private:
  std::unique_ptr<State> state_;
};

}  // namespace procyon

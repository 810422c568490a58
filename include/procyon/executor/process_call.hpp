// What a Process runs: kept in private memory for a fork, put into the heap for the other ways.
#pragma once

#include <procyon/base/errors.hpp>
#include <procyon/engine/process.hpp>
#include <procyon/executor/codec.hpp>
#include <procyon/executor/task.hpp>
#include <procyon/shm/heap.hpp>

#include <cstring>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace procyon::detail {

/// Calls for the exit code.
template <class... Values, class F, class... Args>
int call_for_code(F& f, Args&&... args) {
  const auto call = [&]() -> decltype(auto) {
    if constexpr (const_callable<F, Values...>) {
      return invoke_task<Values...>(std::as_const(f), std::forward<Args>(args)...);
    } else {
      return invoke_task<Values...>(f, std::forward<Args>(args)...);
    }
  };
  using R = std::remove_cvref_t<decltype(call())>;
  if constexpr (std::is_integral_v<R> && !std::is_same_v<R, bool>) {
    return static_cast<int>(call());
  } else {
    static_cast<void>(call());
    return 0;
  }
}

/// An argument that lies in the heap as it is.
template <class T>
struct PlacedArgument {
  static constexpr bool can_travel = true;
  using Reference = std::conditional_t<std::is_copy_constructible_v<T>, const T&, T&&>;
  T value;

  explicit PlacedArgument(T& given) : value(static_cast<Reference>(given)) {}
  void check() const { check_shareable(value, "an argument"); }
  Reference get() { return static_cast<Reference>(value); }
  void give_back(T& to) noexcept {
    if constexpr (!std::is_copy_constructible_v<T>) {
      std::destroy_at(&to);
      std::construct_at(&to, std::move(value));
    }
  }
};

/// An argument that is serialised; where it cannot be, the type is there and nothing else.
template <class T>
struct EncodedArgument {
  static constexpr bool can_travel = is_serialisable<T>;
  void* bytes = nullptr;
  std::size_t size = 0;

  explicit EncodedArgument(T& given) {
    std::string text;
    encode<T>(given, text);
    if (text.empty()) return;
    bytes = shm::allocate(text.size());
    size = text.size();
    std::memcpy(bytes, text.data(), size);
  }
  EncodedArgument(const EncodedArgument&) = delete;
  EncodedArgument& operator=(const EncodedArgument&) = delete;
  ~EncodedArgument() { shm::deallocate(bytes); }
  void check() const {}
  T get() const { return decode<T>(bytes, size); }
  void give_back(T&) noexcept {}
};

template <class T>
using ProcessArgument = std::conditional_t<is_placed<T>, PlacedArgument<T>, EncodedArgument<T>>;

/// What lies in the heap. Hidden: each module that makes one has a record of its own.
template <class F, class... Values>
struct __attribute__((visibility("hidden"))) ProcessPayload {
  Stored<F> f;
  std::tuple<ProcessArgument<Values>...> arguments;

  template <class Given, std::size_t... i>
  ProcessPayload(Given&& given, std::tuple<Values...>& values, std::index_sequence<i...>)
      : f(std::forward<Given>(given)), arguments(std::get<i>(values)...) {}

  // The child must not change what the parent destroys, unless it cannot be copied.
  static int run(void* payload, const engine::CodeFinder& finder) {
    auto& self = *static_cast<ProcessPayload*>(payload);
    return std::apply(
        [&](auto&... each) {
          const F& callable = callable_in(self.f, finder);
          if constexpr (const_callable<F, Values...> || !std::is_copy_constructible_v<F>) {
            return call_for_code<Values...>(const_cast<F&>(callable), each.get()...);
          } else {
            F copy(callable);
            return call_for_code<Values...>(copy, each.get()...);
          }
        },
        self.arguments);
  }

  static inline const engine::ProcessType record{engine::ProcessType::valid, &ProcessPayload::run};

  static engine::CodeToken code() {
    static const engine::CodeToken token = engine::register_code(__ehdr_start, &record);
    return token;
  }
};

/// f and its arguments, until they run.
template <class F, class... Values>
class TypedCall final : public engine::ProcessCall {
  static_assert(std::is_invocable_v<F&, const Values&...> || std::is_invocable_v<F&, Values&&...>,
                "the callable of a Process cannot be called with these arguments (as with "
                "std::thread, each is a copy of its own: none can be bound to a T&)");
  using Payload = ProcessPayload<F, Values...>;

 public:
  template <class G, class... Args>
  explicit TypedCall(G&& f, Args&&... args)
      : f_(std::forward<G>(f)), values_(std::forward<Args>(args)...) {}

  int run() override {
    return std::apply(
        [this](auto&... values) { return call_for_code<Values...>(f_, std::move(values)...); },
        values_);
  }

  engine::PlacedCall place(bool images) override {
    if constexpr (may_hold_reference<F>) {
      throw NotShareable(
          "this callable seems to capture by reference, and a process that is not forked from this "
          "one has nothing there: capture by value, or capture a handle such as procyon::Array, or "
          "use StartMethod::fork (or wrap the callable in by_value() if it holds no reference)");
    } else if constexpr (!(ProcessArgument<Values>::can_travel && ...)) {
      throw NotShareable(
          "an argument cannot be sent to a process that is not forked from this one: it is not "
          "trivially copyable and cereal cannot serialise it (give it a serialize() member and a "
          "default constructor, include the header of cereal/types for a type of the standard "
          "library, or use StartMethod::fork)");
    } else if constexpr (alignof(Payload) > 64) {
      throw NotShareable(
          "what is aligned to more than 64 bytes cannot be sent to a process that is not forked "
          "from this one: align it to 64 at most, or use StartMethod::fork");
    } else {
      return place_checked(CheckedFor(images));
    }
  }

  void take_back(void* payload) noexcept override {
    auto& placed = *static_cast<Payload*>(payload);
    if constexpr (!std::is_copy_constructible_v<F>) {
      std::destroy_at(&f_);
      std::construct_at(&f_, std::move(placed.f));
    }
    give_back(placed, std::index_sequence_for<Values...>());
    std::destroy_at(&placed);
    shm::deallocate(payload);
  }

 private:
  // Copied, not moved: what is moved may bring stray bits with it, which look like addresses.
  using Given = std::conditional_t<std::is_copy_constructible_v<F>, const F&, F&&>;

  engine::PlacedCall place_checked(const CheckedFor&) {
    void* const block = shm::allocate(sizeof(Payload));
    try {
      clear_memory(block, sizeof(Payload));
      ::new (block) Payload(static_cast<Given>(f_), values_, std::index_sequence_for<Values...>());
    } catch (...) {
      shm::deallocate(block);
      throw;
    }
    auto& placed = *static_cast<Payload*>(block);
    try {
      check_shareable(placed.f, "the callable");
      std::apply([](const auto&... each) { (each.check(), ...); }, placed.arguments);
      return {block, Payload::code(), function_of(placed.f)};
    } catch (...) {
      take_back(block);
      throw;
    }
  }

  template <std::size_t... i>
  void give_back(Payload& placed, std::index_sequence<i...>) noexcept {
    (std::get<i>(placed.arguments).give_back(std::get<i>(values_)), ...);
  }

  F f_;
  std::tuple<Values...> values_;
};

}  // namespace procyon::detail

// Where a job's arguments come from and its results go to. The parts of a job's payload: they lie
// in memory that the workers see, and hold addresses in such memory only.
#pragma once

#include <procyon/base/errors.hpp>
#include <procyon/engine/engine.hpp>
#include <procyon/executor/codec.hpp>
#include <procyon/executor/shareable.hpp>
#include <procyon/shm/heap.hpp>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <iterator>
#include <memory>
#include <new>
#include <optional>
#include <ranges>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace procyon::detail {

using engine::Engine;

template <class T>
constexpr void require_alignment() {
  static_assert(alignof(T) <= 64,
                "a task's callable, arguments and results are aligned to 64 bytes at most, and one "
                "of these wants more: make it alignas(64) or less, or keep it in a procyon::Array, "
                "which aligns its elements as they want, and capture that");
}

/// Room for at least one T, to be given back. Throws std::bad_alloc.
template <class T>
T* allocate_array(Engine& engine, std::uint64_t count) {
  require_alignment<T>();
  if (count > PTRDIFF_MAX / sizeof(T)) throw std::bad_array_new_length();
  return static_cast<T*>(engine.allocate(std::max<std::uint64_t>(count, 1) * sizeof(T)));
}

/// A source or sink that is cleared unless it is released: for the time before a task owns it.
template <class Part>
class Held {
 public:
  Held(Engine& engine, Part part) : engine_(&engine), part_(std::move(part)) {}
  Held(Held&& other) noexcept
      : engine_(std::exchange(other.engine_, nullptr)), part_(std::move(other.part_)) {}
  Held& operator=(Held&&) = delete;
  ~Held() {
    if (engine_ != nullptr) part_.clear(*engine_);
  }
  const Part& operator*() const noexcept { return part_; }
  Part release() noexcept {
    engine_ = nullptr;
    return std::move(part_);
  }

 private:
  Engine* engine_;
  Part part_;
};

// ---- Sources: get(i) is the i-th argument; clear(engine) frees what the source owns. -----------

/// The index itself.
struct Indices {
  using Value = std::size_t;
  std::size_t count;
  std::size_t get(std::uint64_t i) const { return i; }
  void clear(Engine&) noexcept {}
};

/// Elements that lie where the workers see them: the caller's own, or a copy that is owned. Those
/// that are `given` are moved into a callable that wants a T of its own.
template <class T, bool given = false>
struct Elements {
  using Value = T;
  using Reference = std::conditional_t<given, T&&, const T&>;
  const T* data;
  std::size_t count;
  T* owned;
  Reference get(std::uint64_t i) const { return const_cast<Reference>(data[i]); }
  void clear(Engine& engine) noexcept {
    if (owned == nullptr) return;
    std::destroy_n(owned, count);
    engine.deallocate(owned);
  }
};

/// Serialised values: offsets[i] to offsets[i + 1] is the i-th. Where serialising one threw, its
/// bytes are the address of that failure, and the offset has a flag: the task fails with it.
template <class T>
struct Encoded {
  using Value = T;
  static constexpr std::uint64_t failed = std::uint64_t{1} << 63;
  void* block;
  std::size_t count;
  std::size_t failures;

  const std::uint64_t* offsets() const { return static_cast<const std::uint64_t*>(block); }
  const unsigned char* bytes() const {
    return reinterpret_cast<const unsigned char*>(offsets() + count + 1);
  }
  std::uint64_t begin_of(std::uint64_t i) const { return offsets()[i] & ~failed; }
  engine::Failure* failure_of(std::uint64_t i) const {
    engine::Failure* failure = nullptr;
    std::memcpy(&failure, bytes() + begin_of(i), sizeof failure);
    return failure;
  }
  T get(std::uint64_t i) const {
    if ((offsets()[i] & failed) != 0) engine::throw_failure(*failure_of(i));
    return decode<T>(bytes() + begin_of(i), begin_of(i + 1) - begin_of(i));
  }
  void clear(Engine& engine) noexcept {
    for (std::uint64_t i = 0; failures != 0 && i < count; ++i) {
      if ((offsets()[i] & failed) == 0) continue;
      engine.deallocate(failure_of(i));
      --failures;
    }
    engine.deallocate(block);
  }
};

/// One value, in the payload itself.
template <class T, bool given>
struct Single {
  using Value = T;
  using Reference = std::conditional_t<given, T&&, const T&>;
  T value;
  Reference get(std::uint64_t) const { return const_cast<Reference>(value); }
  void clear(Engine&) noexcept {}
};

/// What encode_all has gathered.
class Encoding {
 public:
  explicit Encoding(Engine& engine) : engine_(&engine) {}
  Encoding(const Encoding&) = delete;
  Encoding& operator=(const Encoding&) = delete;
  ~Encoding() {
    for (engine::Failure* failure : failures_) engine_->deallocate(failure);
  }

  template <class T>
  void add(const T& value) {
    const std::size_t begin = bytes_.size();
    offsets_.push_back(begin);
    try {
      encode<T>(value, bytes_);
    } catch (const NotShareable&) {
      throw;
    } catch (...) {
      failures_.push_back(engine_->keep_failure());
      offsets_.back() |= Encoded<T>::failed;
      bytes_.resize(begin);
      bytes_.append(reinterpret_cast<const char*>(&failures_.back()), sizeof(engine::Failure*));
    }
  }

  template <class T>
  Encoded<T> finish() {
    const std::size_t count = offsets_.size();
    offsets_.push_back(bytes_.size());
    const std::size_t table = offsets_.size() * sizeof(std::uint64_t);
    auto* block = static_cast<unsigned char*>(engine_->allocate(table + bytes_.size()));
    std::memcpy(block, offsets_.data(), table);
    if (!bytes_.empty()) std::memcpy(block + table, bytes_.data(), bytes_.size());
    const std::size_t failures = failures_.size();
    failures_.clear();
    return {block, count, failures};
  }

 private:
  Engine* engine_;
  std::vector<std::uint64_t> offsets_;
  std::vector<engine::Failure*> failures_;
  std::string bytes_;
};

// A value that cannot be serialised fails its own task only; one that refers to private memory is
// the caller's mistake, and is thrown to it.
template <class T>
Encoded<T> encode_all(Engine& engine, auto&& range, std::size_t count) {
  Encoding encoding(engine);
  for (auto&& value : range) {
    if (count-- == 0) break;
    encoding.add<T>(value);
  }
  return encoding.finish<T>();
}

template <class T, bool given>
Elements<T, given> copy_elements(Engine& engine, auto& range, std::size_t count, bool check) {
  T* const to = allocate_array<T>(engine, count);
  std::size_t made = 0;
  try {
    // What a copy leaves of a padded object must not look like an address.
    if constexpr (!address_free<T>) {
      if (check) clear_memory(to, count * sizeof(T));
    }
    // By hand: the library's algorithm cannot count with the differences of iota_view<size_t>.
    for (auto&& value : range) {
      if (made == count) break;
      std::construct_at(to + made, std::forward<decltype(value)>(value));
      ++made;
    }
    if constexpr (!address_free<T>) {
      for (std::size_t i = 0; check && i < made; ++i) check_shareable(to[i], "an argument");
    }
  } catch (...) {
    std::destroy_n(to, made);
    engine.deallocate(to);
    throw;
  }
  return {to, made, to};
}

constexpr std::uint64_t any_number = ~std::uint64_t{0};

/// The number of elements, or `most` where there are more. Throws std::invalid_argument: no job has
/// so many items.
std::size_t count_of(auto& range, std::uint64_t most) {
  const auto size = std::ranges::size(range);
  using Size = std::remove_const_t<decltype(size)>;
  using Wide = std::conditional_t<(sizeof(Size) > sizeof(std::uint64_t)), Size, std::uint64_t>;
  const Wide count = std::min(static_cast<Wide>(size), static_cast<Wide>(most));
  if (count >= static_cast<Wide>(engine::max_items)) {
    throw std::invalid_argument("a range of 2^40 elements or more: a call takes fewer");
  }
  return static_cast<std::size_t>(count);
}

template <class Range>
constexpr bool is_endless =
    std::is_same_v<std::ranges::sentinel_t<Range>, std::unreachable_sentinel_t>;
template <class Range>
constexpr bool knows_its_length =
    std::ranges::sized_range<Range>&& std::ranges::forward_range<Range>;

/// The elements, `most` of them at most; none beyond these is asked for.
template <class Range>
auto gather(Range& range, std::uint64_t most) {
  if (is_endless<Range> && most == any_number) {
    throw std::invalid_argument("a range without an end; zip it with one that ends, or use imap");
  }
  std::vector<std::ranges::range_value_t<Range>> gathered;
  auto at = std::ranges::begin(range);
  while (gathered.size() < most && at != std::ranges::end(range)) {
    gathered.emplace_back(*at);
    if (gathered.size() < most) ++at;
  }
  return gathered;
}

/// Elements that stay where the caller has them, and cannot be copied.
template <class T>
struct Pointers {
  using Value = T;
  const T** pointers;
  std::size_t count;
  const T& get(std::uint64_t i) const { return *pointers[i]; }
  void clear(Engine& engine) noexcept { engine.deallocate(pointers); }
};

template <class T>
Pointers<T> point_to(Engine& engine, auto& range, std::size_t count) {
  auto** const pointers = allocate_array<const T*>(engine, count);
  std::size_t made = 0;
  for (const T& value : range) {
    if (made == count) break;
    pointers[made++] = std::addressof(value);
  }
  return {pointers, count};
}

// A container that is handed over, and not one that only looks at another's elements.
template <class Range>
constexpr bool gives_elements =
    !std::is_lvalue_reference_v<Range> && !std::is_const_v<Range> &&
    !std::is_const_v<std::remove_reference_t<std::ranges::range_reference_t<Range>>> &&
    !std::ranges::view<std::remove_cvref_t<Range>> && !std::ranges::borrowed_range<Range>;

/// The source for a range of arguments, `most` of them at most. With `borrow` the range outlives
/// the job: then everything is used where it lies if the workers are threads, and so is, by all
/// workers, shared memory that no dying temporary owns. Other elements are copied, or moved from a
/// container that is handed over.
template <bool isolated, bool borrow, class Range>
auto make_source(Engine& engine, Range&& range, std::uint64_t most = any_number) {
  using T = std::ranges::range_value_t<Range>;
  const CheckedFor checked(engine.workers_are_images());
  if constexpr (!knows_its_length<Range>) {
    return make_source<isolated, false>(engine, gather(range, most));
  } else if constexpr (isolated && !is_placed<T>) {
    require_transferable<T>();
    return encode_all<T>(engine, range, count_of(range, most));
  } else {
    // A process may run a task again after a death, with the same bytes.
    constexpr bool given = gives_elements<Range> && (!isolated || !std::is_copy_constructible_v<T>);
    const std::size_t count = count_of(range, most);
    if constexpr (std::ranges::contiguous_range<Range>) {
      const T* data = std::ranges::data(range);
      constexpr bool stays = borrow || std::ranges::borrowed_range<Range>;
      const bool seen =
          isolated ? count != 0 && stays && shm::contains(data, count * sizeof(T)) : borrow;
      if (seen) return Elements<T, given>{data, count, nullptr};
    }
    if constexpr (gives_elements<Range>) {
      auto moved = std::ranges::subrange(std::move_iterator(std::ranges::begin(range)),
                                         std::move_iterator(std::ranges::end(range)));
      return copy_elements<T, given>(engine, moved, count, isolated);
    } else if constexpr (std::is_copy_constructible_v<T> || !borrow || isolated) {
      return copy_elements<T, given>(engine, range, count, isolated);
    } else if constexpr (std::ranges::contiguous_range<Range>) {
      return Elements<T>{std::ranges::data(range), count, nullptr};
    } else {
      return point_to<T>(engine, range, count);
    }
  }
}

/// The source for elements that have been gathered. They stay where that is possible.
template <bool isolated, class T>
auto make_source_of(Engine& engine, std::deque<T>& values) {
  if constexpr (std::is_copy_constructible_v<T>) {
    return make_source<isolated, false>(engine, values);
  } else {
    return make_source<isolated, false>(engine, std::move(values));
  }
}

/// The source for one argument of an `apply`.
template <bool isolated, class Arg>
auto make_single(Engine& engine, Arg&& arg) {
  using T = std::decay_t<Arg>;
  const CheckedFor checked(engine.workers_are_images());
  if constexpr (isolated && !is_placed<T>) {
    require_transferable<T>();
    return encode_all<T>(engine, std::views::single(std::cref(arg)), 1);
  } else {
    if constexpr (isolated) check_shareable(arg, "an argument");
    return Single < T, !isolated || !std::is_copy_constructible_v < T >> {std::forward<Arg>(arg)};
  }
}

// ---- Sinks: put(i, cursor, value) keeps the i-th result; take(i) gives it to the submitter. -----

struct NoResults {
  NoResults(Engine&, std::uint64_t) {}
  void put(std::uint64_t, engine::Cursor&) noexcept {}
  void clear(Engine&, std::uint64_t) noexcept {}
};

// A result that refers to private memory fails its task.
template <bool isolated, class R>
void check_result(const R& value) {
  if constexpr (isolated) check_shareable(value, "the result");
}

/// Whether a sink wants to hear only that an item has run.
template <class Sink>
constexpr bool drops_results = false;
template <>
inline constexpr bool drops_results<NoResults> = true;

/// Bytewise results, in a block or, for one, in the payload.
template <bool isolated, class R>
struct Plain {
  R* results;  // null: the one below
  alignas(R) unsigned char one[sizeof(R)];
  Plain(Engine& engine, std::uint64_t count)
      : results(count == 1 ? nullptr : allocate_array<R>(engine, count)) {}
  R* at(std::uint64_t i) noexcept {
    return results != nullptr ? results + i : reinterpret_cast<R*>(one);
  }
  void put(std::uint64_t i, engine::Cursor&, R&& value) {
    check_result<isolated>(value);
    std::construct_at(at(i), std::move(value));
  }
  R take(std::uint64_t i) { return std::move(*std::launder(at(i))); }
  std::vector<R> take_all(std::uint64_t count) {
    R* first = std::launder(at(0));
    if (count == 0) return {};
    return {std::move_iterator(first), std::move_iterator(first + count)};
  }
  void clear(Engine& engine, std::uint64_t) noexcept { engine.deallocate(results); }
};

template <class R>
std::vector<R> take_each(auto& sink, std::uint64_t count) {
  std::vector<R> all;
  all.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) all.push_back(sink.take(i));
  return all;
}

/// Results in place, in a span of the caller's.
template <bool isolated, class R>
struct InPlace {
  R* results;
  void put(std::uint64_t i, engine::Cursor&, R&& value) {
    check_result<isolated>(value);
    results[i] = std::move(value);
  }
  void clear(Engine&, std::uint64_t) noexcept {}
};

/// Serialised results: each in a block of the worker's that is handed to the job.
template <class R>
struct Boxed {
  void** homes;
  Boxed(Engine& engine, std::uint64_t count) : homes(allocate_array<void*>(engine, count)) {
    std::uninitialized_fill_n(homes, count, nullptr);
  }
  void put(std::uint64_t i, engine::Cursor& cursor, R&& value) {
    std::string bytes;
    encode<R>(value, bytes);
    auto* block =
        static_cast<unsigned char*>(cursor.allocate(sizeof(std::uint64_t) + bytes.size()));
    const std::uint64_t size = bytes.size();
    std::memcpy(block, &size, sizeof size);
    if (size != 0) std::memcpy(block + sizeof size, bytes.data(), size);
    cursor.keep(block, homes + i);
  }
  R take(std::uint64_t i) {
    std::uint64_t size = 0;
    std::memcpy(&size, homes[i], sizeof size);
    return decode<R>(static_cast<unsigned char*>(homes[i]) + sizeof size, size);
  }
  std::vector<R> take_all(std::uint64_t count) { return take_each<R>(*this, count); }
  void clear(Engine& engine, std::uint64_t count) noexcept {
    for (std::uint64_t i = 0; i < count; ++i) engine.deallocate(homes[i]);
    engine.deallocate(homes);
  }
};

/// Results of any type for workers in this process, and handles from any worker: each is
/// constructed where it stays.
template <bool isolated, class R>
struct Local {
  std::optional<R>* results;
  Local(Engine& engine, std::uint64_t count)
      : results(allocate_array<std::optional<R>>(engine, count)) {
    std::uninitialized_value_construct_n(results, count);
  }
  void put(std::uint64_t i, engine::Cursor&, R&& value) {
    check_result<isolated>(value);
    results[i].emplace(std::move(value));
  }
  R take(std::uint64_t i) { return std::move(results[i]).value(); }
  std::vector<R> take_all(std::uint64_t count) { return take_each<R>(*this, count); }
  void clear(Engine& engine, std::uint64_t count) noexcept {
    std::destroy_n(results, count);
    engine.deallocate(results);
  }
};

template <bool isolated, class R>
struct SinkFor {
  using type = std::conditional_t<
      is_bytewise_v<R>, Plain<isolated, R>,
      std::conditional_t<isolated && !is_placed<R>, Boxed<R>, Local<isolated, R>>>;
};
template <bool isolated>
struct SinkFor<isolated, void> {
  using type = NoResults;
};

}  // namespace procyon::detail

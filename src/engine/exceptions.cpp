#include "engine/exceptions.hpp"

#include "engine/worker.hpp"

#include <procyon/base/errors.hpp>
#include <procyon/engine/engine.hpp>

#include <cxxabi.h>

#include <any>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <functional>
#include <future>
#include <ios>
#include <memory>
#include <new>
#include <optional>
#include <regex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <typeindex>
#include <typeinfo>
#include <variant>

namespace procyon::engine {
namespace {

// An exception with the place it was thrown at. Catchable as E and, by a cross-cast, as Where.
template <class E>
class Placed : public E, public Where {
 public:
  template <class... Args>
  explicit Placed(const Where& place, Args&&... args)
      : E(std::forward<Args>(args)...), Where(place) {}
};

// As above for types that make their text themselves: rebuilt with the one that they had.
template <class E>
class PlacedWithText : public E, public Where {
 public:
  template <class... Args>
  PlacedWithText(const Where& place, std::string text, Args&&... args)
      : E(std::forward<Args>(args)...),
        Where(place),
        text_(std::make_shared<std::string>(std::move(text))) {}
  const char* what() const noexcept override { return text_->c_str(); }

 private:
  std::shared_ptr<std::string> text_;  // shared: copying an exception must not throw
};

struct Decoded {
  Where place;
  std::string text;
  std::string detail;  // the name of an unknown type, or the phase of a StartError
  int code;
  std::uint32_t category;
};

struct Codec {
  std::type_index type;
  void (*raise)(const Decoded&);
};

template <class E>
Codec by_text() {
  return {typeid(E), [](const Decoded& in) { throw Placed<E>(in.place, in.text); }};
}

template <class E>
Codec by_name() {
  return {typeid(E), [](const Decoded& in) { throw PlacedWithText<E>(in.place, in.text); }};
}

// Categories that have the same meaning in every process; another one arrives as the first.
const std::error_category* const categories[] = {&std::generic_category(), &std::system_category(),
                                                 &std::iostream_category(),
                                                 &std::future_category()};

std::uint32_t find_category(const std::error_category& category) noexcept {
  for (std::uint32_t i = 0; i < std::size(categories); ++i) {
    if (*categories[i] == category) return i;
  }
  return 0;
}

std::error_code code_of(const Decoded& in) noexcept {
  return {in.code, *categories[in.category % std::size(categories)]};
}

void raise_system_error(const Decoded& in) {
  throw PlacedWithText<std::system_error>(in.place, in.text, code_of(in));
}
void raise_stream_failure(const Decoded& in) {
  throw PlacedWithText<std::ios_base::failure>(in.place, in.text, in.text, code_of(in));
}
void raise_filesystem_error(const Decoded& in) {
  throw PlacedWithText<std::filesystem::filesystem_error>(in.place, in.text, in.text, code_of(in));
}
void raise_future_error(const Decoded& in) {
  throw PlacedWithText<std::future_error>(in.place, in.text, std::future_errc(in.code));
}
void raise_regex_error(const Decoded& in) {
  throw PlacedWithText<std::regex_error>(in.place, in.text,
                                         static_cast<std::regex_constants::error_type>(in.code));
}
void raise_start_error(const Decoded& in) {
  throw PlacedWithText<StartError>(in.place, in.text, in.detail, in.code, std::string());
}

// A type is found by its exact dynamic type: a user's class derived from one of these is not one.
const Codec codecs[] = {
    by_text<std::logic_error>(),
    by_text<std::invalid_argument>(),
    by_text<std::domain_error>(),
    by_text<std::length_error>(),
    by_text<std::out_of_range>(),
    by_text<std::runtime_error>(),
    by_text<std::range_error>(),
    by_text<std::overflow_error>(),
    by_text<std::underflow_error>(),
    by_name<std::exception>(),
    by_name<std::bad_alloc>(),
    by_name<std::bad_array_new_length>(),
    by_name<std::bad_cast>(),
    by_name<std::bad_typeid>(),
    by_name<std::bad_exception>(),
    by_name<std::bad_function_call>(),
    by_name<std::bad_weak_ptr>(),
    by_name<std::bad_optional_access>(),
    by_name<std::bad_variant_access>(),
    by_name<std::bad_any_cast>(),
    by_text<Error>(),
    by_text<NotShareable>(),
    by_text<PoolClosed>(),
    by_text<Cancelled>(),
    by_text<TimeoutError>(),
    by_text<BrokenPool>(),
    by_text<SharedMemoryError>(),
    {typeid(StartError), raise_start_error},
    {typeid(std::system_error), raise_system_error},
    {typeid(std::ios_base::failure), raise_stream_failure},
    {typeid(std::filesystem::filesystem_error), raise_filesystem_error},
    {typeid(std::future_error), raise_future_error},
    {typeid(std::regex_error), raise_regex_error},
};
constexpr std::uint32_t unknown_type = 0xffff;

struct EncodedHeader {
  std::uint32_t codec;
  std::int32_t code;
  std::uint32_t category;
  std::uint64_t text_size;  // then the text, then the detail
};

std::uint32_t find_codec(const std::type_info& thrown) {
  // What libstdc++'s streams throw is a class of its own, derived from the one that it stands for.
  const bool by_stream = std::string_view(thrown.name()) == "St13__ios_failure";
  const std::type_index type = by_stream ? typeid(std::ios_base::failure) : thrown;
  for (std::uint32_t i = 0; i < std::size(codecs); ++i) {
    if (codecs[i].type == type) return i;
  }
  return unknown_type;
}

std::string readable_name(const std::type_info* type) {
  if (type == nullptr) return "unknown type";
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(
      abi::__cxa_demangle(type->name(), nullptr, nullptr, &status), std::free);
  return status == 0 ? name.get() : type->name();
}

Failure* encode(const PoolState& pool, EncodedHeader header, std::string_view text,
                std::string_view detail) {
  header.text_size = text.size();
  const std::size_t size = sizeof header + text.size() + detail.size();
  auto* failure = static_cast<Failure*>(allocate_block(pool.shared != 0, sizeof(Failure) + size));
  *failure = {};
  failure->kind = Failure::Kind::encoded;
  failure->size = size;
  unsigned char* out = failure->bytes();
  std::memcpy(out, &header, sizeof header);
  if (!text.empty()) std::memcpy(out + sizeof header, text.data(), text.size());
  if (!detail.empty()) {
    std::memcpy(out + sizeof header + text.size(), detail.data(), detail.size());
  }
  return failure;
}

Failure* keep_original(const PoolState& pool) {
  auto* failure = static_cast<Failure*>(
      allocate_block(pool.shared != 0, sizeof(Failure) + sizeof(std::exception_ptr)));
  *failure = {};
  failure->kind = Failure::Kind::original;
  failure->size = sizeof(std::exception_ptr);
  ::new (failure->bytes()) std::exception_ptr(std::current_exception());
  return failure;
}

std::exception_ptr& original(Failure& failure) {
  return *std::launder(reinterpret_cast<std::exception_ptr*>(failure.bytes()));
}

[[noreturn]] void raise_encoded(const Failure& failure, const Where& place) {
  EncodedHeader header;
  std::memcpy(&header, failure.bytes(), sizeof header);
  const char* text = reinterpret_cast<const char*>(failure.bytes() + sizeof header);
  const std::size_t detail_size = failure.size - sizeof header - header.text_size;
  const Decoded decoded{place, std::string(text, header.text_size),
                        std::string(text + header.text_size, detail_size), header.code,
                        header.category};
  if (header.codec < std::size(codecs)) codecs[header.codec].raise(decoded);
  throw Placed<RemoteError>(place, decoded.detail, decoded.text);
}

WorkerCrashed::Death death_of(const Failure& failure) {
  WorkerCrashed::Death death{failure.pid, 0, 0};
  if (WIFSIGNALED(failure.status)) {
    death.signal = WTERMSIG(failure.status);
  } else {
    death.exit_code = WEXITSTATUS(failure.status);
  }
  return death;
}

}  // namespace

Failure* encode_current_exception(const PoolState& pool) {
  try {
    throw;
  } catch (const std::exception& error) {
    const std::uint32_t codec = find_codec(typeid(error));
    if (codec == unknown_type && pool.shared == 0) return keep_original(pool);
    EncodedHeader header{codec, 0, 0, 0};
    std::string detail = readable_name(&typeid(error));
    if (const auto* system = dynamic_cast<const std::system_error*>(&error)) {
      header.code = system->code().value();
      header.category = find_category(system->code().category());
    } else if (const auto* future = dynamic_cast<const std::future_error*>(&error)) {
      header.code = future->code().value();
    } else if (const auto* regex = dynamic_cast<const std::regex_error*>(&error)) {
      header.code = static_cast<std::int32_t>(regex->code());
    } else if (const auto* start = dynamic_cast<const StartError*>(&error)) {
      header.code = start->code();
      detail = start->phase();
    }
    return encode(pool, header, error.what(), detail);
  } catch (...) {
    if (pool.shared == 0) return keep_original(pool);
    const std::string name = readable_name(abi::__cxa_current_exception_type());
    return encode(pool, {unknown_type, 0, 0, 0}, "an exception of type " + name, name);
  }
}

void free_failure(const PoolState& pool, Failure* failure) noexcept {
  if (failure->kind == Failure::Kind::original) original(*failure).~exception_ptr();
  deallocate_block(pool.shared != 0, failure);
}

void throw_failure(const Failure& failure) {
  const Where place(failure.pid, failure.item, failure.attempt);
  switch (failure.kind) {
    case Failure::Kind::encoded:
      raise_encoded(failure, place);
    case Failure::Kind::original:
      std::rethrow_exception(original(const_cast<Failure&>(failure)));
    case Failure::Kind::crashed:
      throw Placed<WorkerCrashed>(place, death_of(failure), failure.item, failure.attempt);
    case Failure::Kind::closed:
      throw PoolClosed("the pool was terminated before the task had run");
    case Failure::Kind::broken:
      break;
  }
  throw BrokenPool("the pool lost the process that starts its workers; make a new pool");
}

}  // namespace procyon::engine

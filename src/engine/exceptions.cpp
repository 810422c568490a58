#include "engine/exceptions.hpp"

#include "engine/worker.hpp"

#include <procyon/base/errors.hpp>
#include <procyon/engine/engine.hpp>

#include <cxxabi.h>

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

// As above for types whose constructors take no text.
template <class E>
class PlacedWithText : public E, public Where {
 public:
  PlacedWithText(const Where& place, std::string text)
      : E(), Where(place), text_(std::make_shared<std::string>(std::move(text))) {}
  const char* what() const noexcept override { return text_->c_str(); }

 private:
  std::shared_ptr<std::string> text_;  // shared: copying an exception must not throw
};

struct Decoded {
  Where place;
  std::string text;
  std::string type;
  int code;
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

// system_error appends the code's text to its what(): rebuilt with the text it already has.
void raise_system_error(const Decoded& in) {
  class Rebuilt : public std::system_error {
   public:
    Rebuilt(int code, std::string text)
        : std::system_error(code, std::generic_category()),
          text_(std::make_shared<std::string>(std::move(text))) {}
    const char* what() const noexcept override { return text_->c_str(); }

   private:
    std::shared_ptr<std::string> text_;
  };
  throw Placed<Rebuilt>(in.place, in.code, in.text);
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
    {typeid(std::system_error), raise_system_error},
    by_text<Error>(),
    by_text<NotShareable>(),
    by_text<PoolClosed>(),
    by_text<Cancelled>(),
    by_text<TimeoutError>(),
    by_text<BrokenPool>(),
    by_text<SharedMemoryError>(),
};
constexpr std::uint32_t unknown_type = 0xffff;

struct EncodedHeader {
  std::uint32_t codec;
  std::int32_t code;
  std::uint64_t text_size;  // then the text, then the type's name
};

std::uint32_t find_codec(const std::type_info& type) {
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
                std::string_view type) {
  header.text_size = text.size();
  const std::size_t size = sizeof header + text.size() + type.size();
  auto* failure = static_cast<Failure*>(allocate_block(pool.shared != 0, sizeof(Failure) + size));
  *failure = {};
  failure->kind = Failure::Kind::encoded;
  failure->size = size;
  unsigned char* out = failure->bytes();
  std::memcpy(out, &header, sizeof header);
  if (!text.empty()) std::memcpy(out + sizeof header, text.data(), text.size());
  if (!type.empty()) std::memcpy(out + sizeof header + text.size(), type.data(), type.size());
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
  const std::size_t type_size = failure.size - sizeof header - header.text_size;
  const Decoded decoded{place, std::string(text, header.text_size),
                        std::string(text + header.text_size, type_size), header.code};
  if (header.codec < std::size(codecs)) codecs[header.codec].raise(decoded);
  throw Placed<RemoteError>(place, decoded.type, decoded.text);
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
    EncodedHeader header{codec, 0, 0};
    if (const auto* system = dynamic_cast<const std::system_error*>(&error)) {
      header.code = system->code().value();
    }
    return encode(pool, header, error.what(), readable_name(&typeid(error)));
  } catch (...) {
    if (pool.shared == 0) return keep_original(pool);
    const std::string name = readable_name(abi::__cxa_current_exception_type());
    return encode(pool, {unknown_type, 0, 0}, "an exception of type " + name, name);
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

#include "engine/exceptions.hpp"

#include "engine/worker.hpp"

#include <procyon/base/errors.hpp>
#include <procyon/engine/engine.hpp>

#include <fmt/format.h>

#include <sys/wait.h>

#include <cxxabi.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <typeinfo>

namespace procyon::engine {
namespace {

constexpr std::size_t data_align = 64;

// Before an encoded exception's texts, which are followed by the data of a registered type.
struct EncodedHeader {
  StandardParts parts;
  std::uint32_t is_registered = 0;
  std::uint64_t text_size = 0;
  std::uint64_t detail_size = 0;
  std::uint64_t name_size = 0;  // of a registered type
  std::uint64_t data_offset = 0;
};

std::string readable_name(const std::type_info* type) {
  if (type == nullptr) return "unknown type";
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(
      abi::__cxa_demangle(type->name(), nullptr, nullptr, &status), std::free);
  return status == 0 ? name.get() : type->name();
}

const char* text_of(const std::exception& error) noexcept {
  const char* text = error.what();
  return text == nullptr ? "" : text;
}

// A Failure of these texts, with room for data behind them.
Failure* encode(const PoolState& pool, EncodedHeader header, std::string_view text,
                std::string_view detail, std::string_view name = {}, std::size_t data = 0) {
  header.text_size = text.size();
  header.detail_size = detail.size();
  header.name_size = name.size();
  const std::size_t texts = sizeof header + text.size() + detail.size() + name.size();
  // The block is aligned, and `bytes` of a Failure begin behind it.
  header.data_offset = (sizeof(Failure) + texts + data_align - 1) / data_align * data_align;
  const std::size_t size = data == 0 ? texts : header.data_offset - sizeof(Failure) + data;
  auto* failure = static_cast<Failure*>(allocate_block(pool.shared != 0, sizeof(Failure) + size));
  *failure = {};
  failure->kind = Failure::Kind::encoded;
  failure->size = size;
  unsigned char* out = failure->bytes();
  std::memset(out, 0, size);
  std::memcpy(out, &header, sizeof header);
  out += sizeof header;
  for (const std::string_view part : {text, detail, name}) {
    if (!part.empty()) std::memcpy(out, part.data(), part.size());
    out += part.size();
  }
  return failure;
}

// The Failure of a registered type, allocated when its encoder asks for room.
class FailureSpace final : public ExceptionSpace {
 public:
  FailureSpace(const PoolState& pool, const ExceptionType& type, std::string_view text)
      : pool_(pool), type_(type), text_(text) {}
  FailureSpace(const FailureSpace&) = delete;
  FailureSpace& operator=(const FailureSpace&) = delete;
  ~FailureSpace() override { deallocate_block(pool_.shared != 0, failure_); }

  void* allocate(std::size_t bytes) override {
    EncodedHeader header;
    header.is_registered = 1;
    failure_ = encode(pool_, header, text_, readable_name(type_.type), type_.name, bytes);
    std::memcpy(&header, failure_->bytes(), sizeof header);
    return reinterpret_cast<unsigned char*>(failure_) + header.data_offset;
  }
  Failure* release() {
    if (failure_ == nullptr) allocate(0);
    return std::exchange(failure_, nullptr);
  }

 private:
  const PoolState& pool_;
  const ExceptionType& type_;
  std::string_view text_;
  Failure* failure_ = nullptr;
};

// Null: copying or serialising the exception throws.
Failure* encode_registered(const PoolState& pool, const ExceptionType& type,
                           std::string_view text) {
  try {
    FailureSpace space(pool, type, text);
    type.encode(space);
    return space.release();
  } catch (...) {
    return nullptr;
  }
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

[[noreturn]] void raise_encoded(Failure& failure, const Where& place) {
  EncodedHeader header;
  std::memcpy(&header, failure.bytes(), sizeof header);
  const char* text = reinterpret_cast<const char*>(failure.bytes() + sizeof header);
  const std::string own(text, header.text_size);
  const std::string detail(text + header.text_size, header.detail_size);
  const std::string_view name(text + header.text_size + header.detail_size, header.name_size);
  const std::size_t end = sizeof(Failure) + failure.size;
  const ReceivedException received{place, own, detail,
                                   reinterpret_cast<unsigned char*>(&failure) + header.data_offset,
                                   end > header.data_offset ? end - header.data_offset : 0};
  if (header.is_registered != 0) {
    if (const ExceptionType* type = find_exception(name)) type->raise(received);
  } else {
    raise_standard(header.parts, place, own, detail);
  }
  raise_remote_error(received);
}

// As itself; with its place where it can be copied.
[[noreturn]] void raise_original(Failure& failure, const Where& place) {
  try {
    std::rethrow_exception(original(failure));
  } catch (const std::exception& error) {
    raise_standard_copy(error, place);
    if (const auto* type = find_exception(typeid(error))) type->raise_copy(place);
    throw;
  } catch (...) {
    const std::type_info* thrown = abi::__cxa_current_exception_type();
    const auto* type = thrown == nullptr ? nullptr : find_exception(*thrown);
    if (type != nullptr) type->raise_copy(place);
    throw;
  }
}

std::string text_of_loss(const Failure& failure) {
  if (failure.attempt == PoolState::zygote_lost) {
    return "the pool lost the process that starts its workers; make a new pool";
  }
  const bool killed = WIFSIGNALED(failure.status);
  return std::string("workers end before they are ready, the last one ") +
         (killed ? "by signal " : "with exit code ") +
         std::to_string(killed ? WTERMSIG(failure.status) : WEXITSTATUS(failure.status)) +
         "; the pool has given up";
}

std::string text_of_timeout(const Failure& failure) {
  return fmt::format("item {} ran longer than its time limit of {:g} s (attempt {})", failure.item,
                     static_cast<double>(failure.limit) / 1e9, failure.attempt);
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
  if (pool.shared == 0) return keep_original(pool);
  const std::type_info* thrown = abi::__cxa_current_exception_type();
  const ExceptionType* type = thrown == nullptr ? nullptr : find_exception(*thrown);
  EncodedHeader header;
  try {
    throw;
  } catch (const std::exception& error) {
    if (type != nullptr) {
      if (Failure* failure = encode_registered(pool, *type, text_of(error))) return failure;
    }
    std::string detail = readable_name(type == nullptr ? &typeid(error) : type->type);
    header.parts = standard_parts(error, detail);
    return encode(pool, header, text_of(error), detail);
  } catch (...) {
    const std::string name = readable_name(thrown);
    const std::string text = "an exception of type " + name;
    if (type != nullptr) {
      if (Failure* failure = encode_registered(pool, *type, text)) return failure;
    }
    return encode(pool, header, text, name);
  }
}

Failure* copy_failure(const PoolState& pool, const Failure& failure) {
  auto* copy =
      static_cast<Failure*>(allocate_block(pool.shared != 0, sizeof(Failure) + failure.size));
  *copy = failure;
  copy->next = nullptr;
  if (failure.kind == Failure::Kind::original) {
    ::new (copy->bytes()) std::exception_ptr(original(const_cast<Failure&>(failure)));
  } else if (failure.size != 0) {
    std::memcpy(copy->bytes(), failure.bytes(), failure.size);
  }
  return copy;
}

void free_failure(const PoolState& pool, Failure* failure) noexcept {
  if (failure->kind == Failure::Kind::original) original(*failure).~exception_ptr();
  deallocate_block(pool.shared != 0, failure);
}

void throw_failure(const Failure& failure) {
  const Where place(failure.pid, failure.item, failure.attempt);
  switch (failure.kind) {
    case Failure::Kind::encoded:
      raise_encoded(const_cast<Failure&>(failure), place);
    case Failure::Kind::original:
      raise_original(const_cast<Failure&>(failure), place);
    case Failure::Kind::crashed:
      throw Placed<WorkerCrashed>(place, death_of(failure), failure.item, failure.attempt);
    case Failure::Kind::timed_out:
      throw Placed<TaskTimeout>(place, text_of_timeout(failure));
    case Failure::Kind::closed:
      throw PoolClosed("the pool was terminated before the task had run");
    case Failure::Kind::cancelled:
      throw Cancelled("the task was cancelled");
    case Failure::Kind::broken:
      break;
  }
  throw BrokenPool(text_of_loss(failure));
}

}  // namespace procyon::engine

#include <procyon/engine/exception_type.hpp>

#include "engine/exceptions.hpp"

#include <mutex>

namespace procyon::engine {
namespace {

std::atomic<ExceptionType*> first{nullptr};

template <class Condition>
const ExceptionType* find_type(Condition condition) noexcept {
  const ExceptionType* type = first.load(std::memory_order_acquire);
  while (type != nullptr && !condition(*type)) type = type->next.load(std::memory_order_acquire);
  return type;
}

// Where `type` is linked to from, but for the head of the list.
std::atomic<ExceptionType*>* link_to(const ExceptionType& type) noexcept {
  ExceptionType* before = first.load(std::memory_order_acquire);
  while (before != nullptr && before->next.load(std::memory_order_acquire) != &type) {
    before = before->next.load(std::memory_order_acquire);
  }
  return before == nullptr ? nullptr : &before->next;
}

}  // namespace

ExceptionRegistration::ExceptionRegistration(ExceptionType& type) noexcept : type_(type) {
  ExceptionType* head = first.load(std::memory_order_relaxed);
  do {
    type.next.store(head, std::memory_order_relaxed);
  } while (!first.compare_exchange_weak(head, &type, std::memory_order_release));
}

// A library that is unloaded. What comes in meanwhile comes in at the head.
ExceptionRegistration::~ExceptionRegistration() {
  static std::mutex removal;
  const std::scoped_lock lock(removal);
  ExceptionType* const next = type_.next.load(std::memory_order_acquire);
  ExceptionType* head = &type_;
  if (first.compare_exchange_strong(head, next, std::memory_order_acq_rel)) return;
  if (auto* const link = link_to(type_)) link->store(next, std::memory_order_release);
}

std::string exception_name(const std::type_info& type, const char* file) {
  const std::string name = type.name();
  return name.find("_GLOBAL__N_1") == std::string::npos ? name : name + "@" + file;
}

const ExceptionType* find_exception(const std::type_info& thrown) noexcept {
  return find_type([&thrown](const ExceptionType& each) {
    return *each.type == thrown || *each.placed[0] == thrown || *each.placed[1] == thrown;
  });
}

const ExceptionType* find_exception(std::string_view name) noexcept {
  return find_type([name](const ExceptionType& each) { return each.name == name; });
}

void raise_remote_error(const ReceivedException& received) {
  throw Placed<RemoteError>(received.place, std::string(received.type_name),
                            std::string(received.text));
}

}  // namespace procyon::engine

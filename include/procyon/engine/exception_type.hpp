// How exceptions of a user's type travel: the registry behind PROCYON_EXCEPTION.
#pragma once

#include <procyon/base/errors.hpp>

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>

namespace procyon::engine {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"  // the parameters, members of a user's E

/// An exception with the place it was thrown at. Catchable as E and, by a cross-cast, as Where.
template <class E>
class Placed : public E, public Where {
 public:
  template <class... Args>
  explicit Placed(const Where& place, Args&&... args)
      : E(std::forward<Args>(args)...), Where(place) {}
};

/// As above for types that make their text themselves: rebuilt with the one that they had.
template <class E>
class PlacedWithText : public E, public Where {
 public:
  template <class... Args>
  PlacedWithText(const Where& place, std::string_view text, Args&&... args)
      : E(std::forward<Args>(args)...),
        Where(place),
        text_(std::make_shared<const std::string>(text)) {}
  const char* what() const noexcept override { return text_->c_str(); }

 private:
  std::shared_ptr<const std::string> text_;  // shared: copying an exception must not throw
};

#pragma GCC diagnostic pop

/// Room for an exception's data, in memory that its receiver sees too, at the same address.
class ExceptionSpace {
 public:
  virtual ~ExceptionSpace() = default;
  /// Zeroed, aligned to 64; once. Throws SharedMemoryError.
  virtual void* allocate(std::size_t bytes) = 0;
};

struct ReceivedException {
  Where place;
  std::string_view text;  ///< what() of the original
  std::string_view type_name;
  void* data;  ///< as `encode` left it; `raise` must leave it fit for being read again
  std::size_t size;
};

/// What the engine knows of a registered type. Lies in the module that registered it.
struct ExceptionType {
  std::string name;  ///< the same in every process of the program
  const std::type_info* type;
  const std::type_info* placed[2];          ///< what `raise` throws: such a one travels as `type`
  void (*encode)(ExceptionSpace& space);    ///< of the exception that is being caught
  void (*raise)(const ReceivedException&);  ///< throws
  void (*raise_copy)(const Where& place);   ///< throws a copy of the exception that is being caught
  std::atomic<ExceptionType*> next{nullptr};
};

/// Makes a type known while it lives. Reading the registry takes no lock.
class ExceptionRegistration {
 public:
  explicit ExceptionRegistration(ExceptionType& type) noexcept;
  ~ExceptionRegistration();
  ExceptionRegistration(const ExceptionRegistration&) = delete;
  ExceptionRegistration& operator=(const ExceptionRegistration&) = delete;

 private:
  ExceptionType& type_;
};

/// The types whose names are not unique in a program get the file's name too.
std::string exception_name(const std::type_info& type, const char* file);

/// Throws the RemoteError that stands for an exception which cannot be rebuilt.
[[noreturn]] void raise_remote_error(const ReceivedException& received);

}  // namespace procyon::engine

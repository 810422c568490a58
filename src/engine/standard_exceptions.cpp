// The exceptions that every process knows: the standard library's and this library's.
#include "engine/exceptions.hpp"

#include <procyon/base/errors.hpp>

#include <algorithm>
#include <any>
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

struct Received {
  const StandardParts& parts;
  const Where& place;
  const std::string& text;
  const std::string& detail;
};

struct Codec {
  std::type_index type;
  std::type_index placed[2];  // what `raise` throws: such a one may go through a second pool
  void (*raise)(const Received&);
  void (*raise_copy)(const std::exception& error, const Where& place);
};

template <class E>
void copy_with_text(const std::exception& error, const Where& place) {
  throw PlacedWithText<E>(place, error.what(), dynamic_cast<const E&>(error));
}

// Types that are made from their text.
template <class E>
Codec by_text() {
  return {typeid(E),
          {typeid(Placed<E>), typeid(PlacedWithText<E>)},
          [](const Received& in) { throw Placed<E>(in.place, in.text); },
          [](const std::exception& error, const Where& place) {
            throw Placed<E>(place, dynamic_cast<const E&>(error));
          }};
}

// Types that make their text themselves.
template <class E>
Codec by_name() {
  return {typeid(E),
          {typeid(Placed<E>), typeid(PlacedWithText<E>)},
          [](const Received& in) { throw PlacedWithText<E>(in.place, in.text); },
          copy_with_text<E>};
}

template <class E>
Codec by_parts(void (*raise)(const Received&)) {
  return {typeid(E), {typeid(Placed<E>), typeid(PlacedWithText<E>)}, raise, copy_with_text<E>};
}

// Categories that have the same meaning in every process.
const std::error_category* const categories[] = {&std::generic_category(), &std::system_category(),
                                                 &std::iostream_category(),
                                                 &std::future_category()};

std::uint32_t find_category(const std::error_category& category) noexcept {
  for (std::uint32_t i = 0; i < std::size(categories); ++i) {
    if (*categories[i] == category) return i;
  }
  return static_cast<std::uint32_t>(std::size(categories));
}

std::error_code code_of(const Received& in) noexcept {
  return {in.parts.code, *categories[in.parts.category]};
}

void raise_system_error(const Received& in) {
  throw PlacedWithText<std::system_error>(in.place, in.text, code_of(in));
}
void raise_stream_failure(const Received& in) {
  throw PlacedWithText<std::ios_base::failure>(in.place, in.text, in.text, code_of(in));
}
void raise_filesystem_error(const Received& in) {
  throw PlacedWithText<std::filesystem::filesystem_error>(in.place, in.text, in.text, code_of(in));
}
void raise_future_error(const Received& in) {
  throw PlacedWithText<std::future_error>(in.place, in.text, std::future_errc(in.parts.code));
}
void raise_regex_error(const Received& in) {
  throw PlacedWithText<std::regex_error>(
      in.place, in.text, static_cast<std::regex_constants::error_type>(in.parts.code));
}
void raise_start_error(const Received& in) {
  throw PlacedWithText<StartError>(in.place, in.text, in.detail, in.parts.code, std::string());
}
void raise_remote(const Received& in) {
  throw PlacedWithText<RemoteError>(in.place, in.text, in.detail, in.text);
}
void raise_crash(const Received& in) {
  throw PlacedWithText<WorkerCrashed>(in.place, in.text, in.parts.death, in.parts.item,
                                      in.parts.attempt);
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
    by_text<TaskTimeout>(),
    by_text<BrokenPool>(),
    by_text<SharedMemoryError>(),
    by_parts<StartError>(raise_start_error),
    by_parts<RemoteError>(raise_remote),
    by_parts<WorkerCrashed>(raise_crash),
    by_parts<std::system_error>(raise_system_error),
    by_parts<std::ios_base::failure>(raise_stream_failure),
    by_parts<std::filesystem::filesystem_error>(raise_filesystem_error),
    by_parts<std::future_error>(raise_future_error),
    by_parts<std::regex_error>(raise_regex_error),
};

std::uint32_t find_codec(const std::exception& error) {
  // What libstdc++'s streams throw is a class of its own, derived from the one that it stands for.
  const bool by_stream = std::string_view(typeid(error).name()) == "St13__ios_failure";
  const std::type_index type = by_stream ? typeid(std::ios_base::failure) : typeid(error);
  const auto* const codec = std::find_if(std::begin(codecs), std::end(codecs), [&](const auto& c) {
    return c.type == type || c.placed[0] == type || c.placed[1] == type;
  });
  return static_cast<std::uint32_t>(codec - codecs);
}

}  // namespace

StandardParts standard_parts(const std::exception& error, std::string& detail) {
  StandardParts parts;
  parts.codec = find_codec(error);
  if (const auto* system = dynamic_cast<const std::system_error*>(&error)) {
    parts.code = system->code().value();
    parts.category = find_category(system->code().category());
    // A code of a category that only its own process knows would mean something else here.
    if (parts.category == std::size(categories)) parts.codec = std::size(codecs);
  } else if (const auto* future = dynamic_cast<const std::future_error*>(&error)) {
    parts.code = future->code().value();
  } else if (const auto* regex = dynamic_cast<const std::regex_error*>(&error)) {
    parts.code = static_cast<std::int32_t>(regex->code());
  } else if (const auto* start = dynamic_cast<const StartError*>(&error)) {
    parts.code = start->code();
    detail = start->phase();
  } else if (const auto* remote = dynamic_cast<const RemoteError*>(&error)) {
    detail = remote->type_name();
  } else if (const auto* crash = dynamic_cast<const WorkerCrashed*>(&error)) {
    parts.death = {crash->pid(), crash->signal(), crash->exit_code()};
    parts.item = crash->item();
    parts.attempt = crash->attempt();
  }
  return parts;
}

void raise_standard(const StandardParts& parts, const Where& place, const std::string& text,
                    const std::string& detail) {
  if (parts.codec < std::size(codecs)) codecs[parts.codec].raise({parts, place, text, detail});
}

void raise_standard_copy(const std::exception& error, const Where& place) {
  const std::uint32_t codec = find_codec(error);
  if (codec < std::size(codecs)) codecs[codec].raise_copy(error, place);
}

}  // namespace procyon::engine

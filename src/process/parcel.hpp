// What a process that is being started is given: bytes and descriptors, over a Unix socket.
#pragma once

#include "base/descriptor.hpp"

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace procyon::process {

using base::Descriptor;

struct Parcel {
  std::string bytes;
  std::vector<Descriptor> descriptors;  // closed on exec

  /// The bytes as an object of a trivially copyable type; nothing where their number differs.
  template <class T>
  std::optional<T> as() const {
    if (bytes.size() != sizeof(T)) return {};
    T object;
    bytes.copy(reinterpret_cast<char*>(&object), sizeof object);
    return object;
  }
};

constexpr std::size_t max_parcel_bytes = 4096;
constexpr std::size_t max_parcel_descriptors = 8;

template <class T>
std::string_view bytes_of(const T& object) noexcept {
  return {reinterpret_cast<const char*>(&object), sizeof object};
}

/// Two connected ends that keep the boundaries of messages. Empty, with errno set, where
/// descriptors have run out.
std::pair<Descriptor, Descriptor> socket_pair() noexcept;

/// Sends copies of the descriptors. False, with errno set: the other end is gone, say.
bool send_parcel(int socket, std::string_view bytes,
                 const std::vector<int>& descriptors = {}) noexcept;
/// Waits for one. Nothing: the other end is gone. Without descriptors where there was not room for
/// all of them.
std::optional<Parcel> receive_parcel(int socket);

}  // namespace procyon::process

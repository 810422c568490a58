#include "process/parcel.hpp"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace procyon::process {
namespace {

struct alignas(cmsghdr) Control {
  std::array<char, CMSG_SPACE(max_parcel_descriptors * sizeof(int))> bytes{};
};

msghdr header_for(iovec& text, Control& control, std::size_t control_bytes) noexcept {
  msghdr message{};
  message.msg_iov = &text;
  message.msg_iovlen = 1;
  message.msg_control = control_bytes == 0 ? nullptr : control.bytes.data();
  message.msg_controllen = control_bytes;
  return message;
}

}  // namespace

std::pair<Descriptor, Descriptor> socket_pair() noexcept {
  std::array<int, 2> ends{-1, -1};
  socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data());
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

bool send_parcel(int socket, std::string_view bytes, const std::vector<int>& descriptors) noexcept {
  if (bytes.size() > max_parcel_bytes || descriptors.size() > max_parcel_descriptors) {
    errno = EMSGSIZE;
    return false;
  }
  iovec text{const_cast<char*>(bytes.data()), bytes.size()};
  Control control;
  const std::size_t size = descriptors.size() * sizeof(int);
  msghdr message = header_for(text, control, size == 0 ? 0 : CMSG_SPACE(size));
  if (size != 0) {
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(size);
    std::memcpy(CMSG_DATA(rights), descriptors.data(), size);
  }
  ssize_t sent = -1;
  do {
    sent = sendmsg(socket, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(bytes.size());
}

std::optional<Parcel> receive_parcel(int socket) {
  Parcel parcel;
  parcel.bytes.resize(max_parcel_bytes);
  iovec text{parcel.bytes.data(), parcel.bytes.size()};
  Control control;
  msghdr message = header_for(text, control, control.bytes.size());
  ssize_t got = -1;
  do {
    got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got <= 0) return {};
  parcel.bytes.resize(static_cast<std::size_t>(got));
  for (cmsghdr* each = CMSG_FIRSTHDR(&message); each != nullptr;
       each = CMSG_NXTHDR(&message, each)) {
    if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (each->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int descriptor = -1;
      std::memcpy(&descriptor, CMSG_DATA(each) + i * sizeof(int), sizeof descriptor);
      parcel.descriptors.emplace_back(descriptor);
    }
  }
  if ((message.msg_flags & MSG_CTRUNC) != 0) parcel.descriptors.clear();
  if ((message.msg_flags & MSG_TRUNC) != 0) return {};
  return parcel;
}

}  // namespace procyon::process

// Reading .npy files: what `load_npy` decides by, and the ways that are not a mapping.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <stdexcept>
#include <system_error>
#include <vector>

#include <procyon/shm/npy.hpp>

#include "base/descriptor.hpp"
#include "shm/members.hpp"
#include "shm/npy_header.hpp"

namespace procyon::detail {
namespace {

using base::Descriptor;

constexpr std::size_t piece_size = std::size_t{1} << 20;  // bytes read at a time

[[noreturn]] void fail_to_read(const std::filesystem::path& path, int code) {
  throw std::system_error(code, std::generic_category(), "cannot read " + path.string());
}

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& problem) {
  throw std::invalid_argument(path.string() + " cannot be read as a .npy file: " + problem);
}

std::string cut_off(std::size_t bytes_there, const shm::NpyHeader& header) {
  const std::size_t wanted = header.count * header.type.size;
  const std::size_t there = bytes_there - std::min(bytes_there, header.data_offset);
  return "it was cut off: shape " + shm::shape_text(header.shape) + " of " +
         shm::type_text(header.type, header.swapped) + " takes " + std::to_string(wanted) +
         " bytes of data, and " + std::to_string(there) + " are there; copy or save it again";
}

/// Reads until `target` is full or the file ends; `offset` < 0: from where the descriptor stands.
std::size_t read_fully(const std::filesystem::path& path, int fd, std::span<std::byte> target,
                       off_t offset) {
  std::size_t done = 0;
  while (done < target.size()) {
    const std::size_t most = std::min(target.size() - done, std::size_t{1} << 30);
    std::byte* const to = target.data() + done;
    const ssize_t got = offset < 0 ? ::read(fd, to, most)
                                   : ::pread(fd, to, most, offset + static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_to_read(path, errno);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

void reverse_units(std::span<std::byte> bytes, std::size_t unit) {
  for (std::size_t i = 0; i + unit <= bytes.size(); i += unit) {
    std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(i),
                 bytes.begin() + static_cast<std::ptrdiff_t>(i + unit));
  }
}

/// Takes elements in Fortran order and puts each where C order has it.
class Scatterer {
 public:
  Scatterer(std::span<const std::size_t> shape, std::size_t element_size, std::byte* target)
      : shape_(shape), index_(shape.size()), strides_(shape.size()), target_(target) {
    std::size_t stride = element_size;
    for (std::size_t d = shape.size(); d-- > 0;) {
      strides_[d] = stride;
      stride *= shape[d];
    }
  }

  template <std::size_t size>
  void put(std::span<const std::byte> elements) {
    for (std::size_t i = 0; i < elements.size(); i += size) {
      std::memcpy(target_ + at_, elements.data() + i, size);
      advance();
    }
  }

 private:
  void advance() {
    for (std::size_t d = 0; d < shape_.size(); ++d) {
      at_ += strides_[d];
      if (++index_[d] < shape_[d]) return;
      at_ -= strides_[d] * shape_[d];
      index_[d] = 0;
    }
  }

  std::span<const std::size_t> shape_;
  std::vector<std::size_t> index_, strides_;
  std::byte* target_;
  std::size_t at_ = 0;
};

void put(Scatterer& scatterer, std::span<const std::byte> elements, std::size_t size) {
  switch (size) {
    case 1:
      return scatterer.put<1>(elements);
    case 2:
      return scatterer.put<2>(elements);
    case 4:
      return scatterer.put<4>(elements);
    case 8:
      return scatterer.put<8>(elements);
    default:
      return scatterer.put<16>(elements);
  }
}

/// All of a pipe's or device's header, then as many bytes as it promises, in a file without a name:
/// memory grows with the bytes that came, never with those that were promised.
Descriptor spool(const std::filesystem::path& path, int source, shm::NpyHeader& header) {
  std::vector<std::byte> bytes(shm::npy_preamble_size);
  bytes.resize(read_fully(path, source, bytes, -1));
  const std::size_t begun = bytes.size();
  const std::size_t offset = shm::npy_data_offset(bytes);
  if (offset > begun) {
    bytes.resize(offset);
    bytes.resize(begun + read_fully(path, source, std::span(bytes).subspan(begun), -1));
  }
  header = shm::parse_npy_header(bytes);
  Descriptor file(::memfd_create("procyon-npy", MFD_CLOEXEC));
  if (!file) fail_to_read(path, errno);
  const std::size_t end = header.data_offset + header.count * header.type.size;
  std::vector<std::byte> piece(std::max(piece_size, bytes.size()));
  std::copy(bytes.begin(), bytes.end(), piece.begin());
  std::size_t got = std::min(bytes.size(), end), done = 0;
  while (true) {
    for (std::size_t sent = 0; sent < got;) {
      const ssize_t n = ::write(file.get(), piece.data() + sent, got - sent);
      if (n < 0 && errno != EINTR) fail_to_read(path, errno);
      if (n > 0) sent += static_cast<std::size_t>(n);
    }
    done += got;
    if (done == end) return file;
    got = read_fully(path, source, std::span(piece).first(std::min(piece.size(), end - done)), -1);
    if (got == 0) throw std::invalid_argument(cut_off(done, header));
  }
}

}  // namespace

struct NpyReader::Opened {
  std::filesystem::path path;
  Descriptor file;
  shm::NpyHeader header;

  std::size_t data_bytes() const { return header.count * header.type.size; }
  void open_regular(std::size_t file_size);
  void read_fortran(std::byte* target) const;
};

void NpyReader::Opened::open_regular(std::size_t file_size) {
  std::vector<std::byte> bytes(std::min(file_size, shm::npy_preamble_size));
  bytes.resize(read_fully(path, file.get(), bytes, 0));
  const std::size_t offset = shm::npy_data_offset(bytes);
  bytes.resize(std::min(std::max(offset, bytes.size()), file_size));
  bytes.resize(read_fully(path, file.get(), bytes, 0));
  header = shm::parse_npy_header(bytes);
  if (file_size - header.data_offset < data_bytes()) {
    throw std::invalid_argument(cut_off(file_size, header));
  }
}

NpyReader::NpyReader(const std::filesystem::path& path) : opened_(std::make_unique<Opened>()) {
  opened_->path = path;
  opened_->file = Descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!opened_->file) fail_to_read(path, errno);
  struct stat status {};
  if (::fstat(opened_->file.get(), &status) != 0) fail_to_read(path, errno);
  if (S_ISDIR(status.st_mode)) fail_to_read(path, EISDIR);
  try {
    if (S_ISREG(status.st_mode)) {
      opened_->open_regular(static_cast<std::size_t>(status.st_size));
    } else {
      opened_->file = spool(path, opened_->file.get(), opened_->header);
    }
  } catch (const std::invalid_argument& error) {
    refuse(path, error.what());
  }
}

NpyReader::~NpyReader() = default;

ElementType NpyReader::type() const { return opened_->header.type; }
std::size_t NpyReader::count() const { return opened_->header.count; }
const std::vector<std::size_t>& NpyReader::shape() const { return opened_->header.shape; }
int NpyReader::descriptor() const { return opened_->file.get(); }
std::size_t NpyReader::data_offset() const { return opened_->header.data_offset; }
std::size_t NpyReader::mapped_bytes() const { return data_offset() + opened_->data_bytes(); }

void NpyReader::require(ElementType wanted) const {
  const shm::NpyHeader& header = opened_->header;
  if (header.type == wanted) return;
  const bool drops_a_part = header.type.kind == 'c' && wanted.kind != 'c';
  refuse(opened_->path,
         "its elements are " + shm::type_text(header.type, header.swapped) + ", and " +
             shm::type_text(wanted) + " was asked for; load it as what it is, or " +
             (drops_a_part ? "keep the real part alone" : "convert it") +
             " in numpy: " + "numpy.save(path, array" + (drops_a_part ? ".real" : "") +
             ".astype('" + shm::numpy_name(wanted) + "'))");
}

bool NpyReader::mappable(std::size_t alignment) const {
  const shm::NpyHeader& header = opened_->header;
  const auto longer_than_1 = [](std::size_t length) { return length > 1; };
  const bool in_c_order =
      !header.fortran_order || std::ranges::count_if(header.shape, longer_than_1) <= 1;
  const bool in_program = !shm::heap_is_open() || shm::self().slot == 1;  // only it maps files
  return in_program && in_c_order && !header.swapped && header.data_offset % alignment == 0;
}

void NpyReader::read_into(void* target) const {
  const shm::NpyHeader& header = opened_->header;
  const std::span<std::byte> bytes(static_cast<std::byte*>(target), opened_->data_bytes());
  if (header.fortran_order) {
    opened_->read_fortran(bytes.data());
  } else {
    const auto offset = static_cast<off_t>(header.data_offset);
    const std::size_t got = read_fully(opened_->path, descriptor(), bytes, offset);
    if (got < bytes.size()) refuse(opened_->path, cut_off(header.data_offset + got, header));
  }
  const std::size_t unit = header.type.kind == 'c' ? header.type.size / 2 : header.type.size;
  if (header.swapped) reverse_units(bytes, unit);
}

void NpyReader::Opened::read_fortran(std::byte* target) const {
  Scatterer scatterer(header.shape, header.type.size, target);
  std::vector<std::byte> piece(std::min(data_bytes(), piece_size));  // whole elements: 2^20 / 2^k
  for (std::size_t done = 0; done < data_bytes();) {
    const auto part = std::span(piece).first(std::min(piece.size(), data_bytes() - done));
    const auto offset = static_cast<off_t>(header.data_offset + done);
    const std::size_t got = read_fully(path, file.get(), part, offset);
    if (got < part.size()) refuse(path, cut_off(header.data_offset + done + got, header));
    put(scatterer, part, header.type.size);
    done += got;
  }
}

}  // namespace procyon::detail

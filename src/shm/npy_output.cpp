// Writing .npy files.
#include <stdexcept>

#include <procyon/shm/npy.hpp>

#include "shm/npy_header.hpp"
#include "shm/replacement_file.hpp"

namespace procyon::detail {
namespace {

std::size_t count_of(const std::vector<std::size_t>& shape) {
  std::size_t count = 1;
  for (const std::size_t length : shape) count *= length;
  return count;
}

}  // namespace

struct NpyOutput::Prepared {
  Prepared(const std::filesystem::path& where, ElementType element,
           const std::vector<std::size_t>& lengths)
      : path(where),
        type(element),
        shape(lengths),
        header(shm::make_npy_header(type, shape)),
        file(path, header.size() + count_of(shape) * type.size) {}

  std::filesystem::path path;
  ElementType type;
  std::vector<std::size_t> shape;
  std::string header;
  shm::ReplacementFile file;
};

NpyOutput::NpyOutput(const std::filesystem::path& path, ElementType type,
                     const std::vector<std::size_t>& shape)
    : prepared_(std::make_unique<Prepared>(path, type, shape)) {}

NpyOutput::~NpyOutput() = default;
NpyOutput::NpyOutput(NpyOutput&&) noexcept = default;
NpyOutput& NpyOutput::operator=(NpyOutput&&) noexcept = default;

void NpyOutput::write(const void* data, std::size_t count) {
  if (!prepared_) throw std::logic_error("an NpyWriter writes once");
  const std::size_t wanted = count_of(prepared_->shape);
  if (count != wanted) {
    throw std::invalid_argument("cannot write " + prepared_->path.string() + ": shape " +
                                shm::shape_text(prepared_->shape) + " has " +
                                std::to_string(wanted) + " elements, and " + std::to_string(count) +
                                " were given");
  }
  const auto prepared = std::move(prepared_);
  prepared->file.write(std::as_bytes(std::span(prepared->header)));
  prepared->file.write({static_cast<const std::byte*>(data), count * prepared->type.size});
  prepared->file.commit();
}

}  // namespace procyon::detail

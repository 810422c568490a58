// A file that takes the place of another, whole or not at all.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

#include "base/descriptor.hpp"

namespace procyon::shm {

/// Whether the new file may be one without a name until it is complete.
enum class Naming { nameless_if_possible, named };

/// What is written here becomes the file at `path` by `commit`, and leaves no trace without it.
/// Everything that can be known beforehand is checked by the constructor: the folder, permissions,
/// room on the disk. Throws `std::system_error` that names the file.
class ReplacementFile {
 public:
  ReplacementFile(const std::filesystem::path& path, std::size_t bytes,
                  Naming naming = Naming::nameless_if_possible);
  ~ReplacementFile();
  ReplacementFile(const ReplacementFile&) = delete;
  ReplacementFile& operator=(const ReplacementFile&) = delete;

  /// Appends. Throws with the errno of write.
  void write(std::span<const std::byte> bytes);

  /// Waits until the bytes are on the disk, then puts the file in place. Once, and last.
  void commit();

 private:
  explicit ReplacementFile(const std::filesystem::path& path);
  void open_in_place();
  void open_beside(Naming naming);
  void take_room(std::size_t bytes);
  void create_named();
  void link_under_new_name();
  [[noreturn]] void fail(int code, const std::string& detail = {}) const;

  std::filesystem::path path_;    // as the caller wrote it, for messages
  std::filesystem::path target_;  // symbolic links followed
  base::Descriptor folder_, file_;
  std::string temporary_;  // its name in `folder_`; empty: it has none
  bool in_place_ = false;  // a device, a pipe, a file without a name: cannot be replaced
};

}  // namespace procyon::shm

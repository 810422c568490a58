// .npy files: what is read from them, and what becomes of the old file when writing goes wrong.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <procyon/shm/heap.hpp>
#include <procyon/shm/npy.hpp>

#include "catch.hpp"
#include "shm/npy_header.hpp"
#include "shm/replacement_file.hpp"

using namespace procyon;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

const fs::path fixtures = fs::path(PROCYON_TEST_DATA) / "npy";

/// A folder of this test case's own.
class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / "npy-test") { fs::create_directory(path_); }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  fs::path operator/(const char* name) const { return path_ / name; }
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(path_))
      found.push_back(entry.path().filename());
    return found;
  }

 private:
  fs::path path_;
};

std::string bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_bytes(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

mode_t mode_of(const fs::path& path) {
  struct stat status {};
  ::stat(path.c_str(), &status);
  return status.st_mode & 0777;
}

/// Whether the array is 0, 1, 2, ... of shape (2, 3, 4).
template <class T>
void check_counting(const NpyArray<T>& array) {
  CHECK(array.shape == std::vector<std::size_t>{2, 3, 4});
  REQUIRE(array.data.size() == 24);
  for (std::size_t i = 0; i < 24; ++i) CHECK(array.data[i] == static_cast<T>(i));
}

}  // namespace

TEST_CASE("files that numpy wrote in every version and order are read right") {
  for (const char* version : {"v1", "v2", "v3"}) {
    for (const char* order : {"c", "f"}) {
      const std::string stem = std::string(version) + "_" + order;
      CAPTURE(stem);
      check_counting(load_npy<float>(fixtures / (stem + "_f4.npy")));
      check_counting(load_npy<double>(fixtures / (stem + "_f8.npy")));
    }
  }
  check_counting(load_npy<double>(fixtures / "big_endian_c_f8.npy"));
  check_counting(load_npy<float>(fixtures / "big_endian_f_f4.npy"));
  const auto misaligned = load_npy<double>(fixtures / "misaligned_f8.npy");
  CHECK(reinterpret_cast<std::uintptr_t>(misaligned.data.data()) % alignof(double) == 0);
  check_counting(misaligned);
  check_counting(load_npy<float>(fixtures / "python2_f4.npy"));
  check_counting(load_npy<std::int64_t>(fixtures / "i8.npy"));
  check_counting(load_npy<long long>(fixtures / "i8.npy"));
  check_counting(load_npy<std::uint8_t>(fixtures / "u1.npy"));
  CHECK(load_npy<std::int32_t>(fixtures / "i4.npy").data[0] == -12);
}

TEST_CASE("complex numbers are swapped part by part") {
  const auto native = load_npy<std::complex<double>>(fixtures / "c16.npy");
  const auto swapped = load_npy<std::complex<float>>(fixtures / "big_endian_f_c8.npy");
  for (std::size_t i = 0; i < 24; ++i) {
    const auto x = static_cast<float>(i);
    CHECK(native.data[i] == std::complex<double>(x, x + 0.5));
    CHECK(swapped.data[i] == std::complex<float>(x, x + 0.5F));
  }
}

TEST_CASE("numbers, vectors and arrays of nothing are arrays, too") {
  const auto number = load_npy<double>(fixtures / "scalar_f8.npy");
  CHECK(number.shape.empty());
  REQUIRE(number.data.size() == 1);
  CHECK(number.data[0] == 42.5);
  CHECK(load_npy<float>(fixtures / "vector_f4.npy").data[4] == 4);
  const auto nothing = load_npy<double>(fixtures / "empty_f8.npy");
  CHECK(nothing.shape == std::vector<std::size_t>{3, 0, 2});
  CHECK(nothing.data.size() == 0);
}

TEST_CASE("a file in C order is mapped, not copied, and follows the rules of a mapping") {
  const Folder folder;
  const fs::path path = folder / "a.npy";
  save_npy(path, std::vector<double>{1, 2, 3}, {3});
  const auto array = load_npy<double>(path);
  CHECK(shm::contains(array.data.data(), 3 * sizeof(double)));
  CHECK(bytes_of("/proc/self/maps").find(path.string()) != std::string::npos);
  SECTION("replacing the file leaves the array as it is") {
    save_npy(path, std::vector<double>{7}, {1});
    CHECK(array.data[2] == 3);
  }
  SECTION("a const array of it can be asked for") {
    const NpyArray<const double> same = load_npy<const double>(path);
    CHECK(same.data[1] == 2);
  }
  SECTION("a clone may be written") {
    const auto copy = array.data.clone();
    copy[0] = 9;
    CHECK(copy[0] == 9);
    CHECK(array.data[0] == 1);
  }
}

TEST_CASE("what lies in a mapped file is known to be read-only, and nothing beside it is") {
  CHECK_FALSE(shm::is_read_only(&fixtures));
  const auto array = load_npy<double>(fixtures / "v1_c_f8.npy");
  const double* const data = array.data.data();
  CHECK(shm::is_read_only(data, 24 * sizeof(double)));
  CHECK(shm::is_read_only(data + 23, 1));
  CHECK_FALSE(shm::is_read_only(data, 0));
  const Array<double> copy = array.data.clone();
  CHECK_FALSE(shm::is_read_only(copy.data(), 24 * sizeof(double)));
  CHECK_FALSE(shm::is_read_only(nullptr, 1));
  CHECK_FALSE(shm::is_read_only(&array, sizeof array));
}

TEST_CASE("a file whose bytes are not the array is copied into the heap") {
  const auto array = load_npy<double>(fixtures / "v1_f_f8.npy");
  CHECK(shm::contains(array.data.data(), 24 * sizeof(double)));
  CHECK(bytes_of("/proc/self/maps").find("v1_f_f8.npy") == std::string::npos);
  array.data[0] = 5;  // writable
}

TEST_CASE("a large array in Fortran order arrives in C order") {
  const Folder folder;
  const std::size_t rows = 700, cols = 500;  // several pieces of the reader
  std::string file = shm::make_npy_header({'f', 8}, std::vector<std::size_t>{rows, cols});
  file.replace(file.find("False"), 5, "True ");
  for (std::size_t j = 0; j < cols; ++j) {
    for (std::size_t i = 0; i < rows; ++i) {
      const auto value = static_cast<double>(i * cols + j);
      file.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
  }
  write_bytes(folder / "f.npy", file);
  const auto array = load_npy<double>(folder / "f.npy");
  for (std::size_t i = 0; i < rows * cols; ++i) REQUIRE(array.data[i] == static_cast<double>(i));
}

TEST_CASE("a pipe is read like a file, and one that ends too early is refused") {
  const std::string whole = bytes_of(fixtures / "v1_f_f8.npy");
  for (const std::size_t length :
       {whole.size(), whole.size() - 1, std::size_t{130}, std::size_t{5}}) {
    CAPTURE(length);
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    REQUIRE(::write(ends[1], whole.data(), length) == static_cast<ssize_t>(length));
    ::close(ends[1]);
    const fs::path path = "/proc/self/fd/" + std::to_string(ends[0]);
    if (length == whole.size()) {
      const NpyFile file(path);  // all of it is read here: a pipe cannot be read again
      CHECK(file.kind() == 'f');
      check_counting(file.load<double>());
      check_counting(file.load<double>());
    } else {
      CHECK_THROWS_WITH(load_npy<double>(path), Contains("cannot be read as a .npy file"));
    }
    ::close(ends[0]);
  }
}

TEST_CASE("a file cut off at any byte is refused") {
  const Folder folder;
  for (const char* name : {"v1_c_f8.npy", "v3_f_f4.npy"}) {
    const std::string whole = bytes_of(fixtures / name);
    for (std::size_t length = 0; length < whole.size(); ++length) {
      write_bytes(folder / "cut.npy", whole.substr(0, length));
      CAPTURE(name, length);
      CHECK_THROWS_AS(load_npy<double>(folder / "cut.npy"), std::invalid_argument);
    }
  }
  write_bytes(folder / "cut.npy", bytes_of(fixtures / "v1_c_f8.npy").substr(0, 319));
  CHECK_THROWS_WITH(load_npy<double>(folder / "cut.npy"),
                    Contains("cut.npy") && Contains("192 bytes") && Contains("191 are there"));
}

TEST_CASE("a file of few bytes is called what it is: empty, something else, or cut off") {
  const Folder folder;
  const fs::path path = folder / "few.npy";
  const auto says = [&path](const std::string& bytes, const std::string& what) {
    write_bytes(path, bytes);
    CAPTURE(bytes);
    CHECK_THROWS_WITH(load_npy<double>(path), Contains("few.npy") && Contains(what));
  };
  says("", "it is empty");
  says("1", "it is not a .npy file");
  says("1,2\n3,4\n", "it is not a .npy file");
  says("\x93NUMPx", "it is not a .npy file");
  says("\x93NUM", "it ends within its header, after 4 bytes");
  says(std::string("\x93NUMPY\x01\x00\x76", 9), "it ends within its header, after 9 bytes");
}

TEST_CASE("a shape far beyond the file allocates nothing") {
  const Folder folder;
  const std::vector<std::size_t> huge{1u << 20, 1u << 20, 1u << 10};
  write_bytes(folder / "lies.npy", shm::make_npy_header({'f', 8}, huge) + "few");
  const std::size_t before = shared_heap().used();
  CHECK_THROWS_WITH(load_npy<double>(folder / "lies.npy"), Contains("it was cut off"));
  CHECK(shared_heap().used() == before);
}

TEST_CASE("an array of another type is refused, and both types are named") {
  CHECK_THROWS_WITH(load_npy<double>(fixtures / "v1_c_f4.npy"),
                    Contains("v1_c_f4.npy") && Contains("'<f4' (float)") &&
                        Contains("'<f8' (double)") &&
                        Contains("numpy.save(path, array.astype('float64'))"));
  CHECK_THROWS_WITH(load_npy<double>(fixtures / "c16.npy"),
                    Contains("'<c16' (std::complex<double>)") && Contains("real part") &&
                        Contains("numpy.save(path, array.real.astype('float64'))"));
  CHECK_THROWS_WITH(load_npy<double>(fixtures / "f2.npy"),
                    Contains("'<f2' (float16)") && Contains("array.astype('float64')"));
  CHECK_THROWS_WITH(load_npy<double>(fixtures / "bool.npy"), Contains("array.astype('uint8')"));
  CHECK_THROWS_WITH(load_npy<float>(fixtures / "u1.npy"), Contains("std::uint8_t"));
  CHECK_THROWS_WITH(load_npy<double>(fixtures / "object.npy"), Contains("would run code"));
  CHECK_THROWS_WITH(load_npy<double>(fixtures / "structured.npy"), Contains("structured"));
  CHECK_THROWS_WITH(load_npy<double>(fixtures / "v3_utf8_names.npy"), Contains("structured"));
  for (const char* name : {"bool.npy", "f2.npy", "text.npy"}) {
    CHECK_THROWS_WITH(load_npy<double>(fixtures / name), Contains("element type"));
  }
}

TEST_CASE("a file that is not there or is a folder is named in the error") {
  CHECK_THROWS_AS(load_npy<double>("nowhere.npy"), std::system_error);
  CHECK_THROWS_WITH(load_npy<double>("nowhere.npy"),
                    Contains("nowhere.npy") && Contains("No such file"));
  CHECK_THROWS_WITH(load_npy<double>("/tmp"), Contains("/tmp") && Contains("directory"));
}

TEST_CASE("what is written is what numpy writes, and reads back") {
  const Folder folder;
  const fs::path path = folder / "out.npy";
  std::vector<double> values(24);
  for (std::size_t i = 0; i < 24; ++i) values[i] = static_cast<double>(i);
  save_npy(path, values, {2, 3, 4});
  CHECK(bytes_of(path) == bytes_of(fixtures / "v1_c_f8.npy"));
  const NpyFile file(path);
  CHECK(file.kind() == 'f');
  CHECK(file.element_size() == 8);
  CHECK(file.shape() == std::vector<std::size_t>{2, 3, 4});
  const std::vector<float> none;
  save_npy(path, none, {0, 7});
  CHECK(load_npy<float>(path).shape == std::vector<std::size_t>{0, 7});
  save_npy(path, std::vector<std::complex<float>>{{1, 2}}, {});
  CHECK(load_npy<std::complex<float>>(path).data[0] == std::complex<float>(1, 2));
  CHECK(folder.names() == std::vector<std::string>{"out.npy"});
}

TEST_CASE("a new file obeys the umask, and one that replaces another keeps its mode") {
  const Folder folder;
  const mode_t mask = ::umask(027);
  save_npy(folder / "new.npy", std::vector<float>{1}, {1});
  ::umask(mask);
  CHECK(mode_of(folder / "new.npy") == 0640);
  ::chmod((folder / "new.npy").c_str(), 0604);
  save_npy(folder / "new.npy", std::vector<float>{2}, {1});
  CHECK(mode_of(folder / "new.npy") == 0604);
}

TEST_CASE("a symbolic link stays a link, and what it points to is replaced") {
  const Folder folder;
  fs::create_directory(folder / "elsewhere");
  fs::create_symlink("elsewhere/real.npy", folder / "hop");
  fs::create_symlink("hop", folder / "link.npy");
  for (const float value : {1.0F, 2.0F}) {  // dangling, then not
    save_npy(folder / "link.npy", std::vector<float>{value}, {1});
    CHECK(fs::is_symlink(folder / "link.npy"));
    CHECK(fs::is_symlink(folder / "hop"));
    CHECK(load_npy<float>(folder / "elsewhere/real.npy").data[0] == value);
  }
}

TEST_CASE("an output that cannot be is refused before the work, by name") {
  const Folder folder;
  const std::vector<std::size_t> shape{1};
  CHECK_THROWS_WITH(NpyWriter<double>(folder / "no/such/c.npy", shape),
                    Contains("no/such/c.npy") && Contains("does not exist; create it first"));
  CHECK_THROWS_WITH(NpyWriter<double>(folder / "", shape), Contains("directory"));
  CHECK_THROWS_WITH(NpyWriter<double>("", shape), Contains("name is empty"));
  write_bytes(folder / "plain", "x");
  CHECK_THROWS_WITH(NpyWriter<double>(folder / "plain/c.npy", shape), Contains("plain/c.npy"));
  fs::create_symlink("loop", folder / "loop");
  CHECK_THROWS_WITH(NpyWriter<double>(folder / "loop", shape), Contains("symbolic links"));
  CHECK_THROWS_WITH(NpyWriter<double>("/proc/c.npy", shape), Contains("/proc/c.npy"));
  CHECK_THROWS_WITH(save_npy(folder / "c.npy", std::vector<double>(5), {2, 3}),
                    Contains("6 elements") && Contains("5 were given"));
  CHECK_THROWS_AS(NpyWriter<double>(folder / "c.npy", {1u << 31, 1u << 31}), std::invalid_argument);
  CHECK_FALSE(fs::exists(folder / "c.npy"));
}

TEST_CASE("a writer that is given up leaves the old file and nothing beside it") {
  const Folder folder;
  save_npy(folder / "c.npy", std::vector<double>{1}, {1});
  const std::string old = bytes_of(folder / "c.npy");
  for (const auto naming : {shm::Naming::nameless_if_possible, shm::Naming::named}) {
    {
      shm::ReplacementFile file(folder / "c.npy", 1000, naming);
      file.write(std::as_bytes(std::span("half of it")));
    }
    CHECK(bytes_of(folder / "c.npy") == old);
    CHECK(folder.names().size() == 1);
  }
}

TEST_CASE("where files cannot be nameless a temporary name does, and the file is whole") {
  const Folder folder;
  {
    shm::ReplacementFile file(folder / "c.npy", 3, shm::Naming::named);
    CHECK(folder.names().size() == 1);
    file.write(std::as_bytes(std::span("new", 3)));
    CHECK_FALSE(fs::exists(folder / "c.npy"));
    file.commit();
  }
  CHECK(bytes_of(folder / "c.npy") == "new");
  CHECK(folder.names() == std::vector<std::string>{"c.npy"});
}

TEST_CASE("no room for the file is found before the work, and the old file is intact") {
  const Folder folder;
  save_npy(folder / "c.npy", std::vector<double>{1}, {1});
  const std::string old = bytes_of(folder / "c.npy");
  struct rlimit limit {};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &limit) == 0);
  const struct rlimit small { 4096, limit.rlim_max };
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &small);
  std::string message, named_message;
  try {
    NpyWriter<double>(folder / "c.npy", {10'000});
  } catch (const std::system_error& error) {
    message = error.what();
  }
  try {
    shm::ReplacementFile(folder / "c.npy", 80'000, shm::Naming::named);
  } catch (const std::system_error& error) {
    named_message = error.what();
  }
  ::setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, handler);
  CHECK_THAT(message, Contains("c.npy") && Contains("80128 bytes are needed"));
  CHECK_THAT(named_message, Contains("80000 bytes are needed"));
  CHECK(bytes_of(folder / "c.npy") == old);
  CHECK(folder.names() == std::vector<std::string>{"c.npy"});
}

// A pipe of the test's own stands for all that cannot be replaced: were the check for it broken, a
// test on the devices in /dev, run by root, would replace them for the whole machine.
TEST_CASE("a pipe is written in place, not replaced, and its errors are reported") {
  const Folder folder;
  const fs::path path = folder / "pipe";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  REQUIRE(reader >= 0);
  save_npy(path, std::vector<double>{1, 2}, {2});
  std::string got(1000, '\0');
  const ssize_t length = ::read(reader, got.data(), got.size());
  CHECK(length == 128 + 2 * sizeof(double));
  CHECK(fs::is_fifo(path));

  NpyWriter<double> writer(path, {1});
  ::close(reader);
  const auto handler = std::signal(SIGPIPE, SIG_IGN);
  CHECK_THROWS_WITH(writer.write(std::vector<double>{1}), Contains("Broken pipe"));
  std::signal(SIGPIPE, handler);
  CHECK(folder.names() == std::vector<std::string>{"pipe"});
}

TEST_CASE("a link to an open file that has lost its name leads to that file") {
  const Folder folder;
  const fs::path path = folder / "lost.npy";
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  REQUIRE(file >= 0);
  fs::remove(path);
  fs::create_symlink("/proc/self/fd/" + std::to_string(file), folder / "link");
  save_npy(folder / "link", std::vector<double>{1, 2}, {2});
  CHECK(load_npy<double>(folder / "link").data[1] == 2);
  CHECK(folder.names() == std::vector<std::string>{"link"});
  ::close(file);
}

TEST_CASE("a process killed in the middle of writing leaves nothing behind", "[process]") {
  const Folder folder;
  save_npy(folder / "c.npy", std::vector<double>{1}, {1});
  const std::string old = bytes_of(folder / "c.npy");
  const pid_t child = ::fork();
  if (child == 0) {
    shm::ReplacementFile file(folder / "c.npy", 1 << 20);
    file.write(std::as_bytes(std::span("half of it")));
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  REQUIRE(WIFSIGNALED(status));
  CHECK(bytes_of(folder / "c.npy") == old);
  CHECK(folder.names() == std::vector<std::string>{"c.npy"});
}

TEST_CASE("readers beside a writer see the old file or the new one, whole") {
  const Folder folder;
  const fs::path path = folder / "c.npy";
  const auto filled = [](double value) { return std::vector<double>(2000, value); };
  save_npy(path, filled(0), {2000});
  std::jthread writer([&] {
    for (int i = 1; i <= 50; ++i) save_npy(path, filled(i), {2000});
  });
  for (int i = 0; i < 200; ++i) {
    const auto array = load_npy<double>(path);
    REQUIRE(array.data.size() == 2000);
    REQUIRE(std::ranges::count(array.data, array.data[0]) == 2000);
  }
}

// `procyon gemm`: right products, and the old output file intact whatever goes wrong.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <thread>

#include <procyon/shm/npy.hpp>

#include "catch.hpp"
#include "tools/child.hpp"

using namespace procyon;
using Catch::Matchers::Contains;
using procyon::test::Finished;
namespace fs = std::filesystem;

namespace {

using Arguments = std::vector<std::string>;
using Shape = std::vector<std::size_t>;

const std::string digits = PROCYON_TEST_DATA "/digits.npy";
const std::string dct = PROCYON_TEST_DATA "/dct8.npy";

class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / "gemm-test") { fs::create_directory(path_); }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string operator/(const char* name) const { return (path_ / name).string(); }
  std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(path_), fs::directory_iterator()));
  }

 private:
  fs::path path_;
};

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

template <class T>
void save_counting(const std::string& path, const Shape& shape) {
  std::size_t count = 1;
  for (const std::size_t length : shape) count *= length;
  std::vector<T> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<T>(i % 17);
  save_npy(path, values, shape);
}

Finished gemm(
    const std::string& a, const std::string& b, const std::string& c, const Arguments& more = {},
    const std::function<void()>& prepare = [] {}) {
  Arguments arguments = {"gemm", a, b, "-o", c, "--no-blas-fix"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return test::run(arguments, prepare);
}

/// A folder with an old output in it, which every failure must leave as it is, and alone.
struct WithOldOutput {
  WithOldOutput() {
    save_npy(output, std::vector<float>{1, 2, 3}, {3});
    before = bytes_of(output);
  }
  void check_failed(const Finished& finished, int code, const std::string& first,
                    const std::string& second) const {
    CHECK(finished.code == code);
    CHECK(finished.out.empty());
    CHECK_THAT(finished.err, Contains("procyon: ") && Contains(first) && Contains(second));
    CHECK(bytes_of(output) == before);
    for (const auto& entry : fs::directory_iterator(fs::path(output).parent_path())) {
      CHECK(entry.path().filename().string().find(".tmp") == std::string::npos);
    }
  }

  Folder folder;
  std::string output = folder / "C.npy";
  std::string before;
};

/// The workers of a command that was told `-j 2`; fewer where they do not come.
std::vector<pid_t> wait_for_two_workers(const test::Child& child) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  std::vector<pid_t> workers;
  while (workers.size() < 2 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    workers = test::workers_of(child.pid());
  }
  return workers;
}

/// Zeros that take no room on the disk, and many seconds to multiply.
void save_large(const std::string& path, const Shape& shape, std::size_t elements) {
  std::ofstream file(path, std::ios::binary);
  std::string text = "{'descr': '<f4', 'fortran_order': False, 'shape': (";
  for (const std::size_t length : shape) text += std::to_string(length) + ",";
  text += "), }";
  text.resize(117, ' ');
  file << std::string("\x93NUMPY\x01\x00\x76\x00", 10) << text << '\n';
  file.close();
  fs::resize_file(path, 128 + elements * sizeof(float));
}

}  // namespace

TEST_CASE("real images times the DCT matrix are the same bits in every mode", "[process]") {
  const Folder folder;
  std::string serial;
  for (const char* mode : {"serial", "thread", "process"}) {
    CAPTURE(mode);
    const std::string output = folder / "C.npy";
    const Finished finished = gemm(digits, dct, output, {"--mode", mode, "--verify"});
    CHECK(finished.code == 0);
    CHECK_THAT(finished.out, Contains("(1797, 8, 8)") && Contains("1797 products of 8x8 by 8x8") &&
                                 Contains(std::string(mode) + " mode") && Contains("GFLOP/s") &&
                                 Contains("verified: ") && Contains("115008 of 115008"));
    if (serial.empty()) serial = bytes_of(output);
    CHECK(bytes_of(output) == serial);
  }
  const auto product = load_npy<float>(folder / "C.npy");
  const auto image = load_npy<float>(digits);
  const auto matrix = load_npy<float>(dct);
  float first = 0;
  for (std::size_t l = 0; l < 8; ++l) first += image.data[8 + l] * matrix.data[8 * l + 3];
  CHECK(product.data[8 + 3] == Approx(first));
}

TEST_CASE("the output may be an operand: it is replaced when the product is whole", "[process]") {
  const Folder folder;
  const std::string own = folder / "own.npy";
  REQUIRE(gemm(digits, dct, folder / "C.npy").code == 0);
  const std::string product = bytes_of(folder / "C.npy");
  const std::string mode = GENERATE("serial", "thread", "process");
  CAPTURE(mode);
  fs::copy_file(digits, own);
  CHECK(gemm(own, dct, own, {"--mode", mode, "--verify"}).code == 0);
  CHECK(bytes_of(own) == product);
  REQUIRE(gemm(dct, dct, folder / "C.npy").code == 0);
  fs::copy_file(dct, own, fs::copy_options::overwrite_existing);
  CHECK(gemm(own, own, own, {"--mode", mode, "--verify"}).code == 0);
  CHECK(bytes_of(own) == bytes_of(folder / "C.npy"));
  CHECK(gemm(own, own, own, {"--mode", "gpu"}).code == 2);
  CHECK(bytes_of(own) == bytes_of(folder / "C.npy"));
}

TEST_CASE("more batches than a size has bits come to an end", "[process]") {
  const Folder folder;
  const std::string a = folder / "A.npy", b = folder / "B.npy", c = folder / "C.npy";
  save_counting<float>(a, {100, 1, 4, 4});
  save_counting<float>(b, {1, 100, 4, 4});
  const Finished finished = gemm(a, b, c, {"--mode", "serial", "--verify"});
  CHECK(finished.code == 0);
  CHECK_THAT(finished.out, Contains("(100, 100, 4, 4)") && Contains("160000 of 160000"));
}

TEST_CASE("stacks are broadcast as in numpy, also both at once", "[process]") {
  const Folder folder;
  save_counting<double>(folder / "A.npy", {3, 1, 4, 5});
  save_counting<double>(folder / "B.npy", {2, 5, 6});
  REQUIRE(gemm(folder / "A.npy", folder / "B.npy", folder / "C.npy", {"--verify"}).code == 0);
  const auto a = load_npy<double>(folder / "A.npy"), b = load_npy<double>(folder / "B.npy");
  const auto c = load_npy<double>(folder / "C.npy");
  REQUIRE(c.shape == Shape{3, 2, 4, 6});
  for (std::size_t at = 0; at < c.data.size(); ++at) {
    const std::size_t i = at / 48, j = at / 24 % 2, row = at / 6 % 4, col = at % 6;
    double sum = 0;
    for (std::size_t l = 0; l < 5; ++l) {
      sum += a.data[i * 20 + row * 5 + l] * b.data[j * 30 + l * 6 + col];
    }
    REQUIRE(c.data[at] == sum);  // whole numbers: exact in any order
  }
}

TEST_CASE("operands in Fortran order or another byte order give the same product", "[process]") {
  const Folder folder;
  const std::string npy = PROCYON_TEST_DATA "/npy/";
  save_counting<double>(folder / "B.npy", {4, 2});
  REQUIRE(gemm(npy + "v1_c_f8.npy", folder / "B.npy", folder / "C.npy").code == 0);
  const std::string expected = bytes_of(folder / "C.npy");
  for (const char* name : {"v3_f_f8.npy", "big_endian_c_f8.npy", "misaligned_f8.npy"}) {
    CAPTURE(name);
    REQUIRE(gemm(npy + name, folder / "B.npy", folder / "D.npy").code == 0);
    CHECK(bytes_of(folder / "D.npy") == expected);
  }
}

TEST_CASE("vectors, empty stacks and empty sums are products, too", "[process]") {
  const Folder folder;
  const auto shape_of = [&](const Shape& a, const Shape& b) {
    save_counting<float>(folder / "A.npy", a);
    save_counting<float>(folder / "B.npy", b);
    REQUIRE(gemm(folder / "A.npy", folder / "B.npy", folder / "C.npy", {"--verify"}).code == 0);
    return load_npy<float>(folder / "C.npy");
  };
  CHECK(shape_of({4}, {4, 5}).shape == Shape{5});
  CHECK(shape_of({4}, {4}).data[0] == 0 + 1 + 4 + 9);
  CHECK(shape_of({0, 2, 3}, {3, 4}).shape == Shape{0, 2, 4});
  const auto zeros = shape_of({3, 2, 0}, {0, 4});
  CHECK(zeros.shape == Shape{3, 2, 4});
  for (const float value : zeros.data) CHECK(value == 0);
}

TEST_CASE("the output may be an input", "[process]") {
  const Folder folder;
  save_counting<double>(folder / "A.npy", {2, 3, 3});
  const double corner = load_npy<double>(folder / "A.npy").data[0];
  REQUIRE(gemm(folder / "A.npy", folder / "A.npy", folder / "A.npy").code == 0);
  CHECK(corner == 0);
  CHECK(load_npy<double>(folder / "A.npy").data[0] == 1 * 3 + 2 * 6);
  CHECK(folder.files() == 1);
}

TEST_CASE("an input that comes through a pipe is read", "[process]") {
  const Folder folder;
  const int file = ::open(digits.c_str(), O_RDONLY | O_CLOEXEC);
  const Finished finished = gemm("/dev/stdin", dct, folder / "C.npy", {}, [file] {
    int ends[2];
    if (::pipe(ends) != 0) ::_exit(126);
    if (::fork() == 0) {
      std::vector<char> bytes(1 << 16);
      for (ssize_t n = 0; (n = ::read(file, bytes.data(), bytes.size())) > 0;) {
        if (::write(ends[1], bytes.data(), static_cast<std::size_t>(n)) != n) break;
      }
      ::_exit(0);
    }
    ::close(ends[1]);
    ::dup2(ends[0], STDIN_FILENO);
  });
  ::close(file);
  CHECK(finished.code == 0);
  REQUIRE(gemm(digits, dct, folder / "D.npy").code == 0);
  CHECK(bytes_of(folder / "C.npy") == bytes_of(folder / "D.npy"));
}

TEST_CASE("shapes and types that do not fit are wrong usage, both named", "[process]") {
  const WithOldOutput old;
  const std::string npy = PROCYON_TEST_DATA "/npy/";
  const auto failed = [&](const std::string& a, const std::string& b) {
    return gemm(a, b, old.output);
  };
  old.check_failed(failed(digits, npy + "v1_c_f4.npy"), 2, "(1797, 8, 8)", "(2, 3, 4)");
  old.check_failed(failed(npy + "v1_c_f8.npy", dct), 2, "float64 and float32", "astype('float64')");
  old.check_failed(failed(npy + "i8.npy", dct), 2, "int64", "astype('float64')");
  old.check_failed(failed(npy + "c16.npy", dct), 2, "complex128", "array.real.astype");
  save_counting<float>(old.folder / "A.npy", {2, 3, 8});
  save_counting<float>(old.folder / "B.npy", {3, 8, 3});
  old.check_failed(failed(old.folder / "A.npy", old.folder / "B.npy"), 2, "2 matrices against 3",
                   "(3, 8, 3)");
}

TEST_CASE("missing, unreadable and malformed inputs fail by name", "[process]") {
  const WithOldOutput old;
  old.check_failed(gemm("no/such.npy", dct, old.output), 1, "no/such.npy", "No such file");
  old.check_failed(gemm(PROCYON_TEST_DATA "/digit.npy", dct, old.output), 1, "No such file",
                   "did you mean " + digits + "?");
  old.check_failed(gemm("/proc", dct, old.output), 1, "/proc", "directory");
  old.check_failed(gemm(PROCYON_TEST_DATA "/npy/object.npy", dct, old.output), 1, "object.npy",
                   "would run code");
  std::ofstream(old.folder / "cut.npy", std::ios::binary) << bytes_of(digits).substr(0, 100'000);
  old.check_failed(gemm(old.folder / "cut.npy", dct, old.output), 1, "cut.npy", "cut off");
  if (::geteuid() != 0) {  // root may read everything
    ::chmod((old.folder / "cut.npy").c_str(), 0);
    old.check_failed(gemm(old.folder / "cut.npy", dct, old.output), 1, "cut.npy", "denied");
  }
}

TEST_CASE("an output that cannot be written fails before the multiplication", "[process]") {
  const WithOldOutput old;
  old.check_failed(gemm(digits, dct, old.folder / "no/C.npy"), 1, "no/C.npy",
                   "does not exist; create it first");
  old.check_failed(gemm(digits, dct, old.folder / "."), 1, "name a file in it", "directory");
  old.check_failed(gemm(digits, dct, old.output, {},
                        [] {
                          struct rlimit limit {
                            100'000, 100'000
                          };
                          ::setrlimit(RLIMIT_FSIZE, &limit);
                        }),
                   1, "460160 bytes are needed", "C.npy");
  if (::geteuid() != 0) {
    ::chmod(old.output.c_str(), 0444);
    old.check_failed(gemm(digits, dct, old.output), 1, "C.npy", "denied");
  }
}

TEST_CASE("a heap limit too small is an error with the cure", "[process]") {
  const WithOldOutput old;
  old.check_failed(
      gemm(digits, dct, old.output, {}, [] { ::setenv("PROCYON_SHARED_MEMORY", "64K", 1); }), 1,
      "65536 bytes", "PROCYON_SHARED_MEMORY");
  old.check_failed(
      gemm(digits, dct, old.output, {}, [] { ::setenv("PROCYON_SHARED_MEMORY", "much", 1); }), 1,
      "\"much\"", "PROCYON_SHARED_MEMORY");
}

TEST_CASE("a worker killed in the middle fails the work and leaves no process", "[process]") {
  const WithOldOutput old;
  save_large(old.folder / "A.npy", {200, 1, 64, 20'000}, std::size_t{200} * 64 * 20'000);
  save_large(old.folder / "B.npy", {200, 20'000, 64}, std::size_t{200} * 64 * 20'000);
  test::Child child({"gemm", old.folder / "A.npy", old.folder / "B.npy", "-o", old.output, "-j",
                     "2", "--no-blas-fix"});
  const std::vector<pid_t> workers = wait_for_two_workers(child);
  REQUIRE(workers.size() == 2);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  ::kill(workers[1], SIGKILL);
  const Finished finished = child.wait();
  old.check_failed(finished, 1, "worker " + std::to_string(workers[1]) + " was killed by signal 9",
                   "C.npy was not written");
}

TEST_CASE("the command killed in the middle leaves nothing behind", "[process]") {
  const WithOldOutput old;
  save_large(old.folder / "A.npy", {200, 1, 64, 20'000}, std::size_t{200} * 64 * 20'000);
  save_large(old.folder / "B.npy", {200, 20'000, 64}, std::size_t{200} * 64 * 20'000);
  test::Child child({"gemm", old.folder / "A.npy", old.folder / "B.npy", "-o", old.output, "-j",
                     "2", "--no-blas-fix"});
  REQUIRE(wait_for_two_workers(child).size() == 2);
  ::kill(child.pid(), SIGKILL);
  CHECK(child.wait().code == -SIGKILL);
  CHECK(bytes_of(old.output) == old.before);
  CHECK(old.folder.files() == 3);
}

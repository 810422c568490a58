// Error: aligned to 64 bytes at most.*procyon::Array
#include <procyon/procyon.hpp>

struct alignas(128) Line {
  int value = 0;
};

int main() {
  procyon::ThreadPool pool(1);
  return pool.apply([line = Line{}] { return line.value; });
}

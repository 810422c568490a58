// Error: make this type copyable, or give it a serialize
#include <procyon/procyon.hpp>

struct Unique : std::exception {
  explicit Unique(int n) : number(n) {}
  Unique(Unique&&) = default;
  int number;
};
PROCYON_EXCEPTION(Unique)

int main() {}

// Error: make it a class that is not final
#include <procyon/procyon.hpp>

struct Last final : std::runtime_error {
  using std::runtime_error::runtime_error;
};
PROCYON_EXCEPTION(Last)

int main() {}

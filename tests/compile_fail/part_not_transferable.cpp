// Error: cannot serialise it
#include <procyon/procyon.hpp>

#include <map>
#include <string>
#include <vector>

struct Opaque {
  std::string text;
};

int main() {
  procyon::Pool pool(1);
  const std::map<int, std::vector<Opaque>> parts;
  pool.apply([](const std::map<int, std::vector<Opaque>>& all) { return all.size(); }, parts);
}

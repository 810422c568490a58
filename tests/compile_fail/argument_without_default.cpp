// Error: with a default constructor
#include <procyon/procyon.hpp>
#include <string>
struct NoDefault {
  explicit NoDefault(int n) : text(std::to_string(n)) {}
  std::string text;
  template <class A>
  void serialize(A& a) {
    a(text);
  }
};
int main() {
  procyon::Pool pool(1);
  pool.apply([](const NoDefault& x) { return x.text.size(); }, NoDefault(3));
}

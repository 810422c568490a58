// The main of every test executable.
#if __has_include(<catch2/catch_session.hpp>)
#include <catch2/catch_session.hpp>
#else
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#endif

#if __has_include(<procyon/process/init.hpp>)
#include <procyon/process/init.hpp>
#define PROCYON_HAS_INIT 1
#else
#define PROCYON_HAS_INIT 0
#endif

int main(int argc, char** argv) {
#if PROCYON_HAS_INIT
  procyon::init(argc, argv);
#endif
  return Catch::Session().run(argc, argv);
}

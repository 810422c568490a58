#include <procyon/engine/init.hpp>

#include <csignal>

#include "procyon/command.hpp"
#include "procyon/output.hpp"

int main(int argc, char** argv) {
  procyon::tool::open_standard_streams();
  procyon::init(argc, argv);
  std::signal(SIGXFSZ, SIG_IGN);  // a file past the size limit is an error with a message
  return procyon::tool::run_command(argc, argv);
}

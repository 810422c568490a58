// This program's executable, started afresh.
#pragma once

#include "process/parcel.hpp"

#include <sys/types.h>

#include <string>
#include <vector>

namespace procyon::process {

/// Starts the executable with `channel`, which its init() will ask for a Parcel, and with this
/// environment ("NAME=value" each). Throws StartError. Requires: no other thread is in the middle
/// of a fork handler; better, there is none.
pid_t start_afresh(const Descriptor& channel, const std::string& name,
                   std::vector<std::string> environment);

/// The environment of this process.
std::vector<std::string> current_environment();

/// A file in memory with the environment of this process, for another one. Throws StartError.
Descriptor write_environment();
/// What is in it; empty where it cannot be read.
std::vector<std::string> read_environment(const Descriptor& file);

}  // namespace procyon::process

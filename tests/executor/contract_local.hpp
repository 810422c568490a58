// The contract of pools, kept by threads and by the caller: included before a part of it.
#pragma once

#include <procyon/executor/serial_pool.hpp>
#include <procyon/executor/thread_pool.hpp>

#define CONTRACT_POOLS procyon::ThreadPool, procyon::SerialPool
#define CONTRACT_TAGS "[contract]"

// The contract of pools, kept by threads and by the caller.
#include <procyon/executor/serial_pool.hpp>
#include <procyon/executor/thread_pool.hpp>

#define CONTRACT_POOLS procyon::ThreadPool, procyon::SerialPool
#define CONTRACT_TAGS "[contract]"
#include "contract.hpp"

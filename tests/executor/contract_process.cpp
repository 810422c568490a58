// The contract of pools, kept by processes.
#include <procyon/executor/pool.hpp>

#define CONTRACT_POOLS procyon::Pool
#define CONTRACT_TAGS "[contract][process]"
#include "contract.hpp"

// The contract of pools, kept by processes: included before a part of it.
#pragma once

#include <procyon/executor/pool.hpp>

#define CONTRACT_POOLS procyon::Pool
#define CONTRACT_TAGS "[contract][process]"

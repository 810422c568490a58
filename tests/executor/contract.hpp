// What every pool owes its users: one body of test cases for Pool, ThreadPool and SerialPool.
//
// Before including this, define CONTRACT_POOLS, the list of pools, and CONTRACT_TAGS, their tags.
#pragma once

#include "contract/async.hpp"
#include "contract/calls.hpp"
#include "contract/failures.hpp"
#include "contract/life.hpp"
#include "contract/map.hpp"
#include "contract/values.hpp"

// Control of the BLAS and OpenMP runtimes that this process has loaded.
#pragma once

#include <procyon/blas/core_type.hpp>
#include <procyon/blas/runtimes.hpp>
#include <procyon/blas/thread_limit.hpp>

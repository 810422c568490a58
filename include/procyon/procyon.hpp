// The library, without linear algebra (<procyon/linalg.hpp>).
#pragma once

#include <procyon/base/cpus.hpp>
#include <procyon/base/errors.hpp>
#include <procyon/blas.hpp>
#include <procyon/engine/init.hpp>
#include <procyon/executor/exception.hpp>
#include <procyon/executor/executor.hpp>
#include <procyon/executor/pool.hpp>
#include <procyon/executor/process.hpp>
#include <procyon/executor/serial_pool.hpp>
#include <procyon/executor/thread_pool.hpp>
#include <procyon/executor/trace.hpp>
#include <procyon/shm/allocator.hpp>
#include <procyon/shm/array.hpp>
#include <procyon/shm/heap.hpp>
#include <procyon/shm/npy.hpp>

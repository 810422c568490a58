// Linear algebra on batches of matrices, over any executor. Link procyon::linalg.
#pragma once

#include <procyon/linalg/backend.hpp>
#include <procyon/linalg/gemm.hpp>
#include <procyon/linalg/matrix_batch.hpp>
#include <procyon/linalg/verify.hpp>

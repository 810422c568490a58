// Catch2, version 2 or 3, whichever is installed.
#pragma once

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#define PROCYON_CATCH3 1
#else
#include <catch2/catch.hpp>
#define PROCYON_CATCH3 0
#endif

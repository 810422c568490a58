// The first statement of main.
#pragma once

namespace procyon {

/// Call as the first statement of main, in every program that makes a Pool. Requires: nobody has
/// made a Pool yet. Returns at once in the program itself. Start method `fork` works without it.
void init(int argc, const char* const* argv);

}  // namespace procyon

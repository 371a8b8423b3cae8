// SPDX-License-Identifier: Apache-2.0
// Guards that a test build can leave out: `if (GUARD(startup_sync) && ...)`. GUARD(name) is 1, and
// 0 where this file is compiled with TOUCHBUS_WITHOUT_name=1, which only tests/mutants and the
// controls of tests/crash do, to see the test that watches over the guard fail. To add one: use it
// here and there, and give it a row in tests/mutants/mutants.txt. Builds without
// TOUCHBUS_FAULTPOINTS (release) cannot leave any out.
#pragma once

#ifdef TOUCHBUS_FAULTPOINTS
// 1 where the macro `name` is defined to 1, else 0: pasting it behind GUARD_ONE_ makes a comma or
// not.
#define GUARD_ONE_1 0,
#define GUARD_SECOND(ignored, value, ...) value
#define GUARD_IS_ONE_OF(argument_or_not) GUARD_SECOND(argument_or_not 1, 0, 0)
#define GUARD_IS_ONE(value) GUARD_IS_ONE_OF(GUARD_ONE_##value)
#define GUARD_EXPAND(value) GUARD_IS_ONE(value)
#define GUARD(name) (!GUARD_EXPAND(TOUCHBUS_WITHOUT_##name))
#else
#define GUARD(name) 1
#endif

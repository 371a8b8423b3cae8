// SPDX-License-Identifier: Apache-2.0
#include "schemas/base/core_dumps.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "schemas/base/guards.h"

void core_dumps_forbid(void) {
    const char *allowed = getenv("TOUCHBUS_CORE_DUMPS");
    if (!GUARD(core_dumps) || (allowed != NULL && strcmp(allowed, "1") == 0)) {
        return;
    }
    // The limit alone would not do: a handler that the kernel pipes a core to ignores it.
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

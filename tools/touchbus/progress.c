// SPDX-License-Identifier: Apache-2.0
// Progress of long work: one line on stderr that rewrites itself, a few times a second, and only
// where stderr is a terminal.
#include <unistd.h>

#include "schemas/base/clock.h"
#include "tools/touchbus/tool.h"

enum { BETWEEN_US = 200000 };

static int64_t shown_us;
static bool is_open;

void progress_show(const char *what, uint64_t done, uint64_t total) {
    int64_t now_us = clock_monotonic_us();
    if (!isatty(STDERR_FILENO) || now_us - shown_us < BETWEEN_US) {
        return;
    }
    shown_us = now_us;
    is_open = true;
    fprintf(stderr, "\r\033[K%s: %llu", what, (unsigned long long)done);
    if (total > 0) {
        fprintf(stderr, " of %llu (%llu %%)", (unsigned long long)total,
                (unsigned long long)(done * 100 / total));
    }
    fflush(stderr);
}

void progress_end(void) {
    if (is_open) {
        fputs("\r\033[K", stderr);
        is_open = false;
    }
}

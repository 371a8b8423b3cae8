// SPDX-License-Identifier: Apache-2.0
// Reads TOUCHBUS_FAULTPOINT once and counts the passes of the one point it names.
#include "broker/faultpoint.h"

#ifdef TOUCHBUS_FAULTPOINTS

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char point[64];
static atomic_long passes_left;

static void read_environment(void) {
    const char *text = getenv("TOUCHBUS_FAULTPOINT");
    const char *colon = text != NULL ? strrchr(text, ':') : NULL;
    if (colon == NULL || (size_t)(colon - text) >= sizeof(point)) {
        return;
    }
    memcpy(point, text, (size_t)(colon - text));
    atomic_store(&passes_left, strtol(colon + 1, NULL, 10));
}

void faultpoint_pass(const char *name) {
    pthread_once(&once, read_environment);
    if (point[0] != '\0' && strcmp(name, point) == 0 && atomic_fetch_sub(&passes_left, 1) == 1) {
        kill(getpid(), SIGKILL);
    }
}

#else

// ISO C wants something in every translation unit.
typedef int faultpoint_is_compiled_out;

#endif

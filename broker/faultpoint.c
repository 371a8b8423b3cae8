// SPDX-License-Identifier: Apache-2.0
// Reads the environment once; counts the passes of the one point that kills, and waits at the one
// that holds.
#include "broker/faultpoint.h"

#ifdef TOUCHBUS_FAULTPOINTS

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
enum { HOLD_LOOKS_MAX = 3000, HOLD_LOOK_US = 10000 };
static char point[64], hold[64];
static const char *hold_file;
static atomic_long passes_left;

// What stands behind "name:", the name in `ret`; NULL: nothing is asked for.
static const char *read_point(const char *variable, char *ret, size_t size) {
    const char *text = getenv(variable);
    const char *colon = text != NULL ? strchr(text, ':') : NULL;
    if (colon == NULL || (size_t)(colon - text) >= size) {
        return NULL;
    }
    memcpy(ret, text, (size_t)(colon - text));
    return colon + 1;
}

static void read_environment(void) {
    const char *passes = read_point("TOUCHBUS_FAULTPOINT", point, sizeof(point));
    atomic_store(&passes_left, passes != NULL ? strtol(passes, NULL, 10) : 0);
    hold_file = read_point("TOUCHBUS_HOLDPOINT", hold, sizeof(hold));
}

static void wait_for_release(void) {
    for (int i = 0; i < HOLD_LOOKS_MAX && access(hold_file, F_OK) == 0; i++) {
        if (i == 0) {
            chmod(hold_file, S_IRUSR); // tells the test that it holds
        }
        usleep(HOLD_LOOK_US);
    }
}

void faultpoint_pass(const char *name) {
    pthread_once(&once, read_environment);
    if (point[0] != '\0' && strcmp(name, point) == 0 && atomic_fetch_sub(&passes_left, 1) == 1) {
        kill(getpid(), SIGKILL);
    }
    if (hold_file != NULL && strcmp(name, hold) == 0) {
        wait_for_release();
    }
}

#else

// ISO C wants something in every translation unit.
typedef int faultpoint_is_compiled_out;

#endif

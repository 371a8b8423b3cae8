// SPDX-License-Identifier: Apache-2.0
// See alloc.h. One thread; what runs beside it is counted as well.
#include "tests/faults/alloc.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static unsigned long left; // allocations until one fails; 0: none will
static bool failing, has_failed, failing_for_good, paused;

void alloc_arm(unsigned long nth, bool for_good) {
    failing = has_failed = false;
    failing_for_good = for_good;
    left = nth;
}

bool alloc_disarm(void) {
    left = 0;
    failing = false;
    return has_failed;
}

static bool alloc_fails(void) {
    if (paused) {
        return false;
    }
    bool now = failing;
    if (left > 0 && --left == 0) {
        now = true;
        failing = failing_for_good;
    }
    has_failed = has_failed || now;
    if (now) {
        errno = ENOMEM;
    }
    return now;
}

void alloc_pause(bool pause) {
    paused = pause;
}

#ifdef ALLOC_WRAPPED

#define REPLACED(name) __wrap_##name
#define ORIGINAL(name) __real_##name
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);

char *__wrap_strdup(const char *text) {
    return alloc_fails() ? NULL : __real_strdup(text);
}

#else

// glibc lets a program have an allocator of its own; all libraries use it, strdup too.
#pragma GCC visibility push(default)
#define REPLACED(name) name
#define ORIGINAL(name) __libc_##name

#endif

void *ORIGINAL(malloc)(size_t size);
void *ORIGINAL(calloc)(size_t n, size_t size);
void *ORIGINAL(realloc)(void *old, size_t size);
void *REPLACED(malloc)(size_t size);
void *REPLACED(calloc)(size_t n, size_t size);
void *REPLACED(realloc)(void *old, size_t size);

void *REPLACED(malloc)(size_t size) {
    return alloc_fails() ? NULL : ORIGINAL(malloc)(size);
}

void *REPLACED(calloc)(size_t n, size_t size) {
    return alloc_fails() ? NULL : ORIGINAL(calloc)(n, size);
}

void *REPLACED(realloc)(void *old, size_t size) {
    return alloc_fails() ? NULL : ORIGINAL(realloc)(old, size);
}

#ifndef ALLOC_WRAPPED
#pragma GCC visibility pop
#endif

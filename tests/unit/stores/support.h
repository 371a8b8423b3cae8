// SPDX-License-Identifier: Apache-2.0
// What the tests of the stores share: a folder that goes with the test, files as bytes, small
// blocks, and random numbers that are the same in every run. Includes cmocka with what it needs.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/stores/block.h"

enum { PATH_BYTES = 512 };

int support_setup(void **state);    // *state: the folder's path
int support_teardown(void **state); // removes it with everything in it
// dir/name. The last eight results stay valid.
const char *support_path(const char *dir, const char *name);

uint8_t *support_read(const char *path, size_t *ret_size); // malloc'ed
void support_write(const char *path, const void *data, size_t size);

// A block of n events whose bytes follow from their sequences; malloc'ed. Received at sequence *
// 1000 us, customer sequence % 7.
void *support_block(uint64_t first, size_t n, size_t *ret_size);

uint64_t support_random(uint64_t *seed);

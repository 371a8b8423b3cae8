// SPDX-License-Identifier: Apache-2.0
// Zeroed memory for large tables that are used in places: a page costs nothing before it is
// touched. calloc promises the same only for what it has never handed out before.
#pragma once

#include <stddef.h>

void *pages_new(size_t bytes);              // NULL where memory is short
void pages_free(void *pages, size_t bytes); // takes NULL

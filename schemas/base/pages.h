// SPDX-License-Identifier: Apache-2.0
// Zeroed memory for large tables that are used in places: a page costs nothing before it is
// touched, or 2 MiB of them where the kernel has large ones. calloc promises the same only for what
// it has never handed out before.
#pragma once

#include <stddef.h>

enum { PAGES_LARGE_BYTES = 2 << 20 };       // of x86-64 and arm64
void *pages_new(size_t bytes);              // NULL where memory is short
void pages_free(void *pages, size_t bytes); // takes NULL
// Asks for large pages for what of this memory they fit: what is read all over misses the
// processor's table of pages (TLB) with every access otherwise. For memory that will be used whole.
void pages_advise_large(void *memory, size_t bytes);

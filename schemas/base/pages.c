// SPDX-License-Identifier: Apache-2.0
// Anonymous private pages of the kernel, zero until written.
#include "schemas/base/pages.h"

#include <stdint.h>
#include <sys/mman.h>

void pages_advise_large(void *memory, size_t bytes) {
    uintptr_t begin =
        ((uintptr_t)memory + PAGES_LARGE_BYTES - 1) & ~(uintptr_t)(PAGES_LARGE_BYTES - 1);
    uintptr_t end = ((uintptr_t)memory + bytes) & ~(uintptr_t)(PAGES_LARGE_BYTES - 1);
    if (begin < end) {
        // Only speed: a kernel without them says so, and nothing follows from it.
        (void)madvise((unsigned char *)memory + (begin - (uintptr_t)memory), end - begin,
                      MADV_HUGEPAGE);
    }
}

void *pages_new(size_t bytes) {
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) {
        return NULL;
    }
    pages_advise_large(pages, bytes);
    return pages;
}

void pages_free(void *pages, size_t bytes) {
    if (pages != NULL) {
        munmap(pages, bytes);
    }
}

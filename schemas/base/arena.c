// SPDX-License-Identifier: Apache-2.0
// The arena: a list of chunks, the newest first, each twice the one before. Only the newest is
// allocated from. The bound counts whole chunks, so an arena never holds more heap than it says.
// Single allocations are never freed.
#include "schemas/base/arena.h"
#include "schemas/base/guards.h"
#include "schemas/base/pages.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_POISONS 1
#endif
#endif
#ifdef ARENA_POISONS
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

enum { ALIGNMENT = 16, CHUNK_BYTES_FIRST = 960, CHUNK_BYTES_LARGE = 2 * PAGES_LARGE_BYTES };

struct chunk {
    struct chunk *older;
    size_t size; // of bytes
    size_t used; // from the front
    size_t end;  // what is behind it is used too
    _Alignas(ALIGNMENT) unsigned char bytes[];
};

struct arena {
    size_t bytes_max;
    size_t bytes_chunks; // heap held, headers included
    size_t bytes_used;
    struct chunk *newest;
    ProtobufCAllocator allocator;
};

static void *allocator_alloc(void *arena, size_t bytes) {
    return arena_alloc(arena, bytes);
}

static void allocator_free(void *arena, void *pointer) {
    (void)arena;
    (void)pointer;
}

struct arena *arena_new(size_t bytes_max) {
    struct arena *arena = calloc(1, sizeof(*arena));
    if (arena == NULL) {
        return NULL;
    }
    arena->bytes_max = bytes_max;
    arena->allocator = (ProtobufCAllocator){
        .alloc = allocator_alloc, .free = allocator_free, .allocator_data = arena};
    return arena;
}

static void chunk_free(struct arena *arena, struct chunk *chunk) {
    arena->bytes_chunks -= sizeof(*chunk) + chunk->size;
    ASAN_UNPOISON_MEMORY_REGION(chunk->bytes, chunk->size);
    free(chunk);
}

void arena_reset(struct arena *arena) {
    struct chunk *kept = arena->newest;
    while (kept != NULL && kept->older != NULL) {
        struct chunk *older = kept->older;
        if (older->size > kept->size) {
            chunk_free(arena, kept);
            kept = older;
        } else {
            kept->older = older->older;
            chunk_free(arena, older);
        }
    }
    if (kept != NULL) {
        kept->used = 0;
        kept->end = kept->size;
        ASAN_POISON_MEMORY_REGION(kept->bytes, kept->size);
    }
    arena->newest = kept;
    arena->bytes_used = 0;
}

struct arena *arena_free(struct arena *arena) {
    if (arena == NULL) {
        return NULL;
    }
    arena_reset(arena);
    if (arena->newest != NULL) {
        chunk_free(arena, arena->newest);
    }
    assert(arena->bytes_chunks == 0);
    free(arena);
    return NULL;
}

void cleanup_arena(struct arena **arena) {
    *arena = arena_free(*arena);
}

// Puts a chunk with room for `bytes` in front, as large as doubling and the bound allow.
static bool arena_grow(struct arena *arena, size_t bytes) {
    size_t left = GUARD(arena_cap) ? arena->bytes_max - arena->bytes_chunks : SIZE_MAX / 2;
    if (left < sizeof(struct chunk) || bytes > left - sizeof(struct chunk)) {
        return false;
    }
    left -= sizeof(struct chunk);
    size_t size = arena->newest == NULL ? CHUNK_BYTES_FIRST : arena->newest->size * 2;
    size = size < bytes ? bytes : size;
    size = size > left ? left : size;
    struct chunk *chunk = malloc(sizeof(*chunk) + size);
    if (chunk == NULL) {
        return false;
    }
    if (size >= CHUNK_BYTES_LARGE) {
        pages_advise_large(chunk, sizeof(*chunk) + size);
    }
    *chunk = (struct chunk){.older = arena->newest, .size = size, .end = size};
    ASAN_POISON_MEMORY_REGION(chunk->bytes, chunk->size);
    arena->newest = chunk;
    arena->bytes_chunks += sizeof(*chunk) + size;
    return true;
}

void *arena_alloc(struct arena *arena, size_t bytes) {
    if (bytes > arena->bytes_max) { // also keeps the rounding below from overflowing
        return NULL;
    }
    size_t rounded = (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    struct chunk *chunk = arena->newest;
    if (chunk == NULL || rounded > chunk->end - chunk->used) {
        if (!arena_grow(arena, rounded)) {
            return NULL;
        }
        chunk = arena->newest;
    }
    void *result = chunk->bytes + chunk->used;
    chunk->used += rounded;
    arena->bytes_used += rounded;
    ASAN_UNPOISON_MEMORY_REGION(result, bytes);
    return result;
}

struct arena_mark arena_mark(const struct arena *arena) {
    struct chunk *chunk = arena->newest;
    return (struct arena_mark){.chunk = chunk,
                               .used = chunk == NULL ? 0 : chunk->used,
                               .end = chunk == NULL ? 0 : chunk->end,
                               .bytes_used = arena->bytes_used};
}

void arena_rewind(struct arena *arena, const struct arena_mark *mark) {
    while (arena->newest != mark->chunk) {
        struct chunk *chunk = arena->newest;
        arena->newest = chunk->older;
        chunk_free(arena, chunk);
    }
    struct chunk *chunk = arena->newest;
    if (chunk != NULL) {
        ASAN_POISON_MEMORY_REGION(chunk->bytes + mark->used, mark->end - mark->used);
        chunk->used = mark->used;
        chunk->end = mark->end;
    }
    arena->bytes_used = mark->bytes_used;
}

uint8_t *arena_back(struct arena *arena, size_t bytes_max, uint8_t **ret_end) {
    struct chunk *chunk = arena->newest;
    if (chunk == NULL || chunk->end == chunk->used) {
        return NULL;
    }
    size_t size = chunk->end - chunk->used;
    size = size > bytes_max ? bytes_max : size;
    *ret_end = chunk->bytes + chunk->end;
    ASAN_UNPOISON_MEMORY_REGION(*ret_end - size, size);
    return *ret_end - size;
}

void arena_take_back(struct arena *arena, uint8_t *begin, const uint8_t *end, size_t bytes) {
    struct chunk *chunk = arena->newest;
    assert(end == chunk->bytes + chunk->end && bytes <= (size_t)(end - begin));
    ASAN_POISON_MEMORY_REGION(begin, (size_t)(end - begin) - bytes);
    chunk->end -= bytes;
    arena->bytes_used += bytes;
}

void *arena_calloc(struct arena *arena, size_t count, size_t bytes) {
    size_t total;
    if (__builtin_mul_overflow(count, bytes, &total)) {
        return NULL;
    }
    void *result = arena_alloc(arena, total);
    if (result != NULL) {
        memset(result, 0, total);
    }
    return result;
}

void *arena_copy(struct arena *arena, const void *data, size_t bytes) {
    void *result = arena_alloc(arena, bytes);
    if (result != NULL && bytes > 0) {
        memcpy(result, data, bytes);
    }
    return result;
}

char *arena_strdup(struct arena *arena, const char *text) {
    return arena_copy(arena, text, strlen(text) + 1);
}

char *arena_printf(struct arena *arena, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    int length = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    char *result = length < 0 ? NULL : arena_alloc(arena, (size_t)length + 1);
    if (result != NULL) {
        va_start(ap, format);
        vsnprintf(result, (size_t)length + 1, format, ap);
        va_end(ap);
    }
    return result;
}

size_t arena_used(const struct arena *arena) {
    return arena->bytes_used;
}

ProtobufCAllocator *arena_allocator(struct arena *arena) {
    return &arena->allocator;
}

// SPDX-License-Identifier: Apache-2.0
// A bounded bump allocator: everything of one tick or one message is freed at once by a reset. It
// serves protobuf-c as a ProtobufCAllocator, which makes its bound the bound of what a message can
// unpack to.
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

// Grows in chunks, of bytes_max in all, then allocation returns NULL. NULL where memory is short.
// Nothing is taken from the heap before the first allocation.
struct arena *arena_new(size_t bytes_max);
struct arena *arena_free(struct arena *arena); // takes NULL; returns NULL
void cleanup_arena(struct arena **arena);
// Forgets everything, keeps the largest chunk: a steady load settles in one chunk and costs no
// malloc. Under the address sanitizer what was handed out is poisoned.
void arena_reset(struct arena *arena);
// 16-byte aligned; NULL beyond the bound. Valid until reset.
void *arena_alloc(struct arena *arena, size_t bytes);
void *arena_calloc(struct arena *arena, size_t count, size_t bytes);
void *arena_copy(struct arena *arena, const void *data, size_t bytes);
char *arena_strdup(struct arena *arena, const char *text);
char *arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
size_t arena_used(const struct arena *arena);
// Where an arena stands, to go back there: what was allocated since is free again.
struct arena_mark {
    void *chunk;
    size_t used, end, bytes_used;
};
struct arena_mark arena_mark(const struct arena *arena);
void arena_rewind(struct arena *arena, const struct arena_mark *mark);
// The last free bytes, of bytes_max at most, for who writes from the back to the front and knows
// only then how many it needs: *ret_end is behind the last one. Whoever asks calls arena_take_back
// with that number before anything else is allocated. NULL: there are none at once; arena_alloc may
// still find some.
uint8_t *arena_back(struct arena *arena, size_t bytes_max, uint8_t **ret_end);
// The last `bytes` of what arena_back gave are allocated, the others are free again. Not aligned.
void arena_take_back(struct arena *arena, uint8_t *begin, const uint8_t *end, size_t bytes);
// For protobuf_c_message_unpack and friends; its free does nothing. Borrowed, lives as long as the
// arena.
ProtobufCAllocator *arena_allocator(struct arena *arena);

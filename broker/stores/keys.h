// SPDX-License-Identifier: Apache-2.0
// keys/: one 32-byte secret a customer number, made ahead in blocks and synced before first use, so
// that a new customer costs no sync and no event is ever sealed with a key that a power cut can
// lose. Sealing is XChaCha20-Poly1305 (libsodium) with the nonce run id || sequence; the type and
// sequence are not bound in, the block's checksum and key are.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/stores/block.h"

struct keys;
struct store;
struct keys_reader;

enum { KEYS_SEAL_OVERHEAD = 16 };

// A key of zeros is a destroyed one: nothing seals with it and nothing opens.
enum { KEYS_SECRET_BYTES = 32, KEYS_HASH_SECRET_BYTES = 16 };
// KEYS_RECORD keys lie in one record; at least KEYS_AHEAD are kept ready, twice as many are made at
// once.
enum { KEYS_RECORD = 32, KEYS_AHEAD = 8192 };

int keys_open(const char *dir, bool read_only, struct keys **ret);
struct keys *keys_close(struct keys *keys);
// Makes and syncs keys so that `customer` has one and KEYS_AHEAD more are ready. Tick thread only;
// cheap when there are enough. A failure is fatal, as any failed commit.
int keys_ensure(struct keys *keys, uint64_t customer);
// How many keys were ever made: a customer at or above it has none, and never had.
uint64_t keys_made(const struct keys *keys);
// The 16-byte secret of keyed hashes (ids, bodies, lanes), made with the store.
const uint8_t *keys_hash_secret(const struct keys *keys);

int keys_reader_new(struct keys *keys, struct keys_reader **ret); // one a thread
struct keys_reader *keys_reader_free(struct keys_reader *reader);
// A snapshot for a slice; renewed by itself where a key was made since.
int keys_reader_begin(struct keys_reader *reader);
void keys_reader_end(struct keys_reader *reader);
// ret has room for size + KEYS_SEAL_OVERHEAD, and may be plain. 0; 1: the key is destroyed or was
// never made.
int keys_seal(struct keys_reader *reader, uint64_t customer,
              const uint8_t run[static BLOCK_RUN_BYTES], uint64_t sequence, const void *plain,
              size_t size, uint8_t *ret);
// The customer's key is soon wanted: it is fetched into the processor's cache. Within a slice.
void keys_reader_ahead(const struct keys_reader *reader, uint64_t customer);
// It is wanted after that: where keys_reader_ahead looks is fetched.
void keys_reader_far_ahead(const struct keys_reader *reader, uint64_t customer);
// ret has room for size - KEYS_SEAL_OVERHEAD. 0; 1: the key is destroyed; -EBADMSG: not what was
// sealed.
int keys_unseal(struct keys_reader *reader, uint64_t customer,
                const uint8_t run[static BLOCK_RUN_BYTES], uint64_t sequence, const void *sealed,
                size_t size, uint8_t *ret);

// ---- rows of the view: equal content in the same place is equal bytes, so that equal views are.
// KEYS_ROW_OVERHEAD: a nonce, which is a keyed hash of place and content, and the tag.
enum { KEYS_ROW_OVERHEAD = 32 };
// place: where the row stands, bound in. ret has room for size + KEYS_ROW_OVERHEAD. 0; 1: the key
// is destroyed or was never made.
int keys_seal_row(struct keys_reader *reader, uint64_t customer, const void *place,
                  size_t place_size, const void *plain, size_t size, uint8_t *ret);
// ret has room for size - KEYS_ROW_OVERHEAD. 0; 1: the key is destroyed; -EBADMSG: not what was
// sealed for this place.
int keys_open_row(struct keys_reader *reader, uint64_t customer, const void *place,
                  size_t place_size, const void *sealed, size_t size, uint8_t *ret);
// The same as keys_reader_far_ahead, for a row.
void keys_reader_row_far_ahead(const struct keys_reader *reader, uint64_t customer);
// From now on what is derived from a customer's key is kept for later slices: 9 MiB, for the thread
// that seals rows of many customers again and again. -ENOMEM.
int keys_reader_keep_derived(struct keys_reader *reader);
// Wipes what is kept of a customer; its key was destroyed.
void keys_reader_forget(struct keys_reader *reader, uint64_t customer);
// Whether a slice is open.
bool keys_reader_reads(const struct keys_reader *reader);
const uint8_t *keys_reader_hash_secret(const struct keys_reader *reader);

// ---- destroying a customer's key: nothing that was sealed with it can be read again, wherever it
// lies. What it was stays in free pages of the file until keys_scrub.

// Tick thread. On disk when it returns, with the time in the table of destroyed ones. 0; 1: it was
// destroyed before (its first time stays); -EINVAL: nobody's key, or one that was never made. Any
// other failure is fatal, as of any commit.
int keys_destroy(struct keys *keys, uint64_t customer, int64_t time_us);
// Any thread; one load where nobody's is.
bool keys_is_destroyed(const struct keys *keys, uint64_t customer);
uint64_t keys_n_destroyed(const struct keys *keys);
// When its key was destroyed. 0; 1: it was not.
int keys_destroyed_at(struct keys *keys, uint64_t customer, int64_t *ret_time_us);
// Calls row for each, by number, until it returns other than 0; returns that.
int keys_each_destroyed(struct keys *keys,
                        int (*row)(void *user, uint64_t customer, int64_t time_us), void *user);
// Whether free pages of the file may still hold a destroyed key. Any thread.
bool keys_needs_scrub(const struct keys *keys);
// Overwrites them, synced. Any thread but the tick's, which must not wait; one at a time. 0; 1: a
// reader of an older slice is in the way, or a key was destroyed meanwhile: again later. A negative
// errno: a write or sync failed, fatal.
int keys_scrub(struct keys *keys);

// A consistent copy as a new folder `dir` (backup).
int keys_copy(struct keys *keys, const char *dir);
struct store *keys_store(struct keys *keys); // for upkeep

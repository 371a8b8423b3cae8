// SPDX-License-Identifier: Apache-2.0
// keys/: one 32-byte secret a customer number, made ahead in blocks and synced before first use, so
// that a new customer costs no sync and no event is ever sealed with a key that a power cut can
// lose. Sealing is XChaCha20-Poly1305 (libsodium) with the nonce run id || sequence; the type and
// sequence are not bound in, the block's checksum and key are.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "broker/block.h"

struct keys;
struct keys_reader;

enum { KEYS_SEAL_OVERHEAD = 16 };

int keys_open(const char *dir, bool read_only, struct keys **ret);
struct keys *keys_close(struct keys *keys);
// Makes and syncs keys until at least `customer` + the made-ahead margin exist. Tick thread only;
// cheap when there are enough.
int keys_ensure(struct keys *keys, uint64_t customer);
// The 16-byte secret of keyed hashes (ids, bodies, lanes), made with the store.
const uint8_t *keys_hash_secret(const struct keys *keys);

int keys_reader_new(struct keys *keys, struct keys_reader **ret); // one a thread
struct keys_reader *keys_reader_free(struct keys_reader *reader);
int keys_reader_begin(struct keys_reader *reader); // a snapshot for a slice
void keys_reader_end(struct keys_reader *reader);
// ret has room for size + KEYS_SEAL_OVERHEAD. 0; 1: the key is destroyed or was never made.
int keys_seal(struct keys_reader *reader, uint64_t customer,
              const uint8_t run[static BLOCK_RUN_BYTES], uint64_t sequence, const void *plain,
              size_t size, uint8_t *ret);
// ret has room for size - KEYS_SEAL_OVERHEAD. 0; 1: the key is destroyed; -EBADMSG: not what was
// sealed.
int keys_unseal(struct keys_reader *reader, uint64_t customer,
                const uint8_t run[static BLOCK_RUN_BYTES], uint64_t sequence, const void *sealed,
                size_t size, uint8_t *ret);
int keys_copy(struct keys *keys, const char *dir);

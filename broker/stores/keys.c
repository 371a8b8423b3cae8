// SPDX-License-Identifier: Apache-2.0
// The customers' secrets over one synced LMDB environment: record n (big-endian) holds the keys of
// customers 32 n to 32 n + 31, so that a look-up touches a small, warm tree. Secrets are read only
// inside libsodium's calls.
#include "broker/stores/keys.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "broker/stores/cipher.h"
#include "broker/stores/keys_internal.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"
#include "schemas/base/pages.h"

enum {
    MAKE_MAX = 2 * KEYS_AHEAD, // keys made in one transaction
    NONCE_BYTES = CIPHER_NONCE_BYTES,
};

_Static_assert((int)KEYS_SEAL_OVERHEAD == (int)CIPHER_TAG_BYTES, "the tag");
_Static_assert((int)KEYS_SECRET_BYTES == (int)CIPHER_KEY_BYTES, "the key");
_Static_assert(NONCE_BYTES == BLOCK_RUN_BYTES + sizeof(uint64_t), "run and sequence");

static const char *const table_names[KEYS_N_TABLES] = {
    [KEYS_TABLE_KEYS] = "keys",           // record u64 -> KEYS_RECORD secrets
    [KEYS_TABLE_META] = "meta",           // "hash-secret", "scrub" (keys_needs_scrub)
    [KEYS_TABLE_DESTROYED] = "destroyed", // customer u64 -> when, microseconds
};
static const char key_hash_secret[] = "hash-secret";

static int put_hash_secret(struct store_txn *txn, void *user) {
    (void)user;
    uint8_t secret[KEYS_HASH_SECRET_BYTES];
    randombytes_buf(secret, sizeof(secret));
    return store_put(txn, KEYS_TABLE_META, key_hash_secret, strlen(key_hash_secret), secret,
                     sizeof(secret));
}

static int load_in(struct keys *keys, struct store_txn *txn) {
    const void *value = NULL, *key = NULL;
    size_t size = 0, key_size = 0;
    int r =
        store_get(txn, KEYS_TABLE_META, key_hash_secret, strlen(key_hash_secret), &value, &size);
    if (r != 0 || size != sizeof(keys->hash_secret)) {
        return r < 0 ? r : -EBADMSG;
    }
    memcpy(keys->hash_secret, value, size);
    struct store_cursor *cursor = NULL;
    r = store_cursor_new(txn, KEYS_TABLE_KEYS, &cursor);
    if (r < 0) {
        return r;
    }
    uint64_t made = 0;
    r = store_cursor_move(cursor, STORE_LAST, NULL, 0, &key, &key_size, NULL, NULL);
    if (r == 0) {
        made = key_size == sizeof(uint64_t) ? (store_from_be64(key) + 1) * KEYS_RECORD : 0;
        r = made == 0 ? -EBADMSG : 0;
    }
    store_cursor_free(cursor);
    if (r < 0) {
        return r;
    }
    atomic_store(&keys->made, made);
    return keys_gone_load(keys, txn);
}

int keys_open(const char *dir, bool read_only, struct keys **ret) {
    if (sodium_init() < 0) {
        return -EIO;
    }
    struct keys *keys = calloc(1, sizeof(*keys));
    if (keys == NULL) {
        return -ENOMEM;
    }
    // 16 GiB of address space: 500 million customers.
    struct store_options options = {.tables = table_names,
                                    .n_tables = KEYS_N_TABLES,
                                    .map_bytes = read_only ? 0 : (size_t)16 << 30,
                                    .read_only = read_only,
                                    .create = put_hash_secret};
    struct store_txn *txn = NULL;
    int r = store_open(dir, &options, &keys->store);
    if (r == 0) {
        r = store_begin(keys->store, false, &txn);
    }
    if (r == 0) {
        r = load_in(keys, txn);
        store_abort(txn);
    }
    if (r < 0) {
        keys_close(keys);
        return r;
    }
    *ret = keys;
    return 0;
}

struct keys *keys_close(struct keys *keys) {
    if (keys != NULL) {
        store_close(keys->store);
        keys_gone_free(keys);
        sodium_memzero(keys->hash_secret, sizeof(keys->hash_secret));
        free(keys);
    }
    return NULL;
}

// Records are made whole and once; MAKE_MAX keys are one transaction of about half a mebibyte.
static int make_keys(struct keys *keys, uint64_t from, uint64_t *ret_made) {
    struct store_txn *txn = NULL;
    int r = store_begin(keys->store, true, &txn);
    if (r < 0) {
        return r;
    }
    uint8_t secrets[KEYS_RECORD_BYTES];
    uint64_t record = from / KEYS_RECORD, end = record + MAKE_MAX / KEYS_RECORD;
    for (; r == 0 && record < end; record++) {
        uint8_t key[8];
        store_be64(key, record);
        randombytes_buf(secrets, sizeof(secrets));
        r = store_append(txn, KEYS_TABLE_KEYS, key, sizeof(key), secrets, sizeof(secrets));
    }
    sodium_memzero(secrets, sizeof(secrets));
    if (r != 0) {
        store_abort(txn);
        return r > 0 ? -EBADMSG : r;
    }
    r = store_commit(txn);
    r = r == 0 ? keys_wash(keys) : r;
    if (r == 0) {
        *ret_made = end * KEYS_RECORD;
    }
    return r;
}

int keys_ensure(struct keys *keys, uint64_t customer) {
    uint64_t made = atomic_load(&keys->made);
    while (customer > UINT64_MAX - KEYS_AHEAD || customer + KEYS_AHEAD >= made) {
        if (customer >> 48 != 0) {
            return -EINVAL; // no such customer; making keys up to it would never end
        }
        int r = make_keys(keys, made, &made);
        if (r < 0) {
            return r;
        }
        atomic_store(&keys->made, made);
    }
    return 0;
}

uint64_t keys_made(const struct keys *keys) {
    return atomic_load(&keys->made);
}

const uint8_t *keys_hash_secret(const struct keys *keys) {
    return keys->hash_secret;
}

int keys_reader_new(struct keys *keys, struct keys_reader **ret) {
    struct keys_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL) {
        return -ENOMEM;
    }
    reader->keys = keys;
    reader->slice = 1; // 0 is what is empty
    *ret = reader;
    return 0;
}

struct keys_reader *keys_reader_free(struct keys_reader *reader) {
    if (reader != NULL) {
        keys_reader_end(reader);
        if (reader->kept != NULL) {
            sodium_memzero(reader->kept, sizeof(*reader->kept));
            pages_free(reader->kept, sizeof(*reader->kept));
        }
        free(reader);
    }
    return NULL;
}

int keys_reader_keep_derived(struct keys_reader *reader) {
    assert(reader->kept == NULL);
    reader->kept = pages_new(sizeof(*reader->kept));
    if (reader->kept == NULL) {
        return -ENOMEM;
    }
    pages_advise_large(reader->kept, sizeof(*reader->kept));
    return 0;
}

int keys_reader_begin(struct keys_reader *reader) {
    assert(reader->txn == NULL);
    int r = store_begin(reader->keys->store, false, &reader->txn);
    // A commit's pages stay what they are until the next one: records lie where they lay.
    if (r == 0 && store_txn_id(reader->txn) != reader->commit) {
        reader->commit = store_txn_id(reader->txn);
        reader->slice++;
    }
    return r;
}

void keys_reader_end(struct keys_reader *reader) {
    if (reader->has_derived) {
        sodium_memzero(reader->derived, sizeof(reader->derived));
        reader->has_derived = false;
    }
    store_abort(STEAL(reader->txn));
}

bool keys_reader_reads(const struct keys_reader *reader) {
    return reader->txn != NULL;
}

const uint8_t *keys_reader_hash_secret(const struct keys_reader *reader) {
    return reader->keys->hash_secret;
}

int keys_find_record(struct store_txn *txn, uint64_t customer, const void **ret, size_t *ret_size) {
    uint8_t key[8];
    store_be64(key, customer / KEYS_RECORD);
    int r = store_get(txn, KEYS_TABLE_KEYS, key, sizeof(key), ret, ret_size);
    return r == 0 && *ret_size != KEYS_RECORD_BYTES ? -EBADMSG : r;
}

static int find_in_slice(struct keys_reader *reader, uint64_t customer, const void **ret) {
    uint64_t record = customer / KEYS_RECORD;
    struct keys_found *found = &reader->found[record % KEYS_FOUND_MAX];
    size_t size;
    bool known = (found->slice == reader->slice || (!GUARD(keys_slice) && found->slice != 0)) &&
                 found->record == record;
    if (!known) {
        int r = keys_find_record(reader->txn, customer, ret, &size);
        if (r != 0) {
            return r;
        }
        *found = (struct keys_found){reader->slice, record, *ret};
    }
    *ret = found->value;
    return 0;
}

void keys_reader_far_ahead(const struct keys_reader *reader, uint64_t customer) {
    __builtin_prefetch(&reader->found[customer / KEYS_RECORD % KEYS_FOUND_MAX]);
}

void keys_reader_ahead(const struct keys_reader *reader, uint64_t customer) {
    uint64_t record = customer / KEYS_RECORD;
    const struct keys_found *found = &reader->found[record % KEYS_FOUND_MAX];
    if (found->record == record && found->slice == reader->slice) {
        __builtin_prefetch((const uint8_t *)found->value +
                           customer % KEYS_RECORD * KEYS_SECRET_BYTES);
    }
}

int keys_find_secret(struct keys_reader *reader, uint64_t customer, const uint8_t **ret) {
    const void *value = NULL;
    int r = find_in_slice(reader, customer, &value);
    if (r == 1 && customer < atomic_load(&reader->keys->made)) {
        // Made since the slice began. No pointer of this slice is in anybody's hands.
        keys_reader_end(reader);
        r = keys_reader_begin(reader);
        r = r == 0 ? find_in_slice(reader, customer, &value) : r;
    }
    if (r != 0) {
        return r;
    }
    const uint8_t *secret = (const uint8_t *)value + customer % KEYS_RECORD * KEYS_SECRET_BYTES;
    // The first byte settles nearly all; the rest is looked at where it is zero.
    if (GUARD(destroyed_key) && secret[0] == 0 && sodium_is_zero(secret, KEYS_SECRET_BYTES)) {
        return 1;
    }
    *ret = secret;
    return 0;
}

static void make_nonce(uint8_t ret[static NONCE_BYTES], const uint8_t *run, uint64_t sequence) {
    memcpy(ret, run, BLOCK_RUN_BYTES);
    store_be64(ret + BLOCK_RUN_BYTES, sequence);
}

int keys_seal(struct keys_reader *reader, uint64_t customer,
              const uint8_t run[static BLOCK_RUN_BYTES], uint64_t sequence, const void *plain,
              size_t size, uint8_t *ret) {
    const uint8_t *secret = NULL;
    int r = keys_find_secret(reader, customer, &secret);
    if (r != 0) {
        return r;
    }
    uint8_t nonce[NONCE_BYTES];
    make_nonce(nonce, run, sequence);
    cipher_seal(secret, nonce, NULL, 0, plain, size, ret);
    return 0;
}

int keys_unseal(struct keys_reader *reader, uint64_t customer,
                const uint8_t run[static BLOCK_RUN_BYTES], uint64_t sequence, const void *sealed,
                size_t size, uint8_t *ret) {
    const uint8_t *secret = NULL;
    int r = keys_find_secret(reader, customer, &secret);
    if (r != 0) {
        return r;
    }
    uint8_t nonce[NONCE_BYTES];
    make_nonce(nonce, run, sequence);
    return cipher_open(secret, nonce, NULL, 0, sealed, size, ret);
}

int keys_copy(struct keys *keys, const char *dir) {
    return store_copy(keys->store, dir, true);
}

struct store *keys_store(struct keys *keys) {
    return keys->store;
}

// SPDX-License-Identifier: Apache-2.0
// Sealing rows of the view: XChaCha20-Poly1305 with a synthetic nonce. The view is rebuilt and
// compared byte by byte, so there can be no random nonce; a hash of place and content, keyed so
// that nobody can tell content by it, repeats only where the whole row does. Sealing and hashing
// have keys of their own, derived from the customer's, which events are sealed with.
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "broker/stores/cipher.h"
#include "broker/stores/keys_internal.h"
#include "schemas/base/guards.h"

enum {
    HASH_BYTES = 16, // of the nonce; the rest of it is zero
    NONCE_BYTES = CIPHER_NONCE_BYTES,
    SUBKEY_ROWS = 1, // its number among what may be derived from a customer's secret
};
_Static_assert((int)KEYS_ROW_OVERHEAD == HASH_BYTES + (int)CIPHER_TAG_BYTES, "hash, content, tag");
_Static_assert(KEYS_SECRET_BYTES == crypto_kdf_KEYBYTES, "the key that others are derived from");

struct row_keys {
    uint8_t seal[CIPHER_KEY_BYTES];
    uint8_t hash[crypto_generichash_KEYBYTES];
};
_Static_assert(sizeof(struct row_keys) <= crypto_kdf_BYTES_MAX, "derived at once");
_Static_assert(sizeof(struct row_keys) == KEYS_DERIVED_BYTES, "and kept whole");

static size_t slot_of(uint64_t customer) {
    return customer % KEYS_DERIVED_MAX; // they are numbered as they come
}

void keys_reader_forget(struct keys_reader *reader, uint64_t customer) {
    struct keys_derived *kept = reader->kept;
    if (kept != NULL && kept->customers[slot_of(customer)] == customer) {
        sodium_memzero(kept->keys[slot_of(customer)], KEYS_DERIVED_BYTES);
        kept->customers[slot_of(customer)] = 0;
    }
}

static bool take_kept(const struct keys_derived *kept, uint64_t customer,
                      uint8_t ret[static KEYS_DERIVED_BYTES]) {
    size_t slot = slot_of(customer);
    if (kept == NULL || customer == 0 || kept->customers[slot] != customer) {
        return false;
    }
    memcpy(ret, kept->keys[slot], KEYS_DERIVED_BYTES);
    return true;
}

static void keep(struct keys_derived *kept, uint64_t customer,
                 const uint8_t keys[static KEYS_DERIVED_BYTES]) {
    if (kept != NULL) {
        memcpy(kept->keys[slot_of(customer)], keys, KEYS_DERIVED_BYTES);
        kept->customers[slot_of(customer)] = customer;
    }
}

void keys_reader_row_far_ahead(const struct keys_reader *reader, uint64_t customer) {
    const struct keys_derived *kept = reader->kept;
    keys_reader_far_ahead(reader, customer);
    if (kept != NULL) {
        __builtin_prefetch(&kept->customers[slot_of(customer)]);
        __builtin_prefetch(kept->keys[slot_of(customer)]);
    }
}

static int derive(struct keys_reader *reader, uint64_t customer, struct row_keys *ret) {
    static const char context[crypto_kdf_CONTEXTBYTES] = "viewrows";
    const uint8_t *secret = NULL;
    if (!reader->has_derived || reader->derived_of != customer) {
        int r = keys_find_secret(reader, customer, &secret);
        bool has_kept = take_kept(reader->kept, customer, reader->derived);
        if (r != 0 && (GUARD(kept_keys) || !has_kept)) {
            return r;
        }
        if (!has_kept) {
            crypto_kdf_derive_from_key(reader->derived, sizeof(reader->derived), SUBKEY_ROWS,
                                       context, secret);
            keep(reader->kept, customer, reader->derived);
        }
        reader->derived_of = customer;
        reader->has_derived = true;
    }
    memcpy(ret, reader->derived, sizeof(*ret));
    return 0;
}

static void make_nonce(const struct row_keys *keys, const void *place, size_t place_size,
                       const void *plain, size_t size, uint8_t ret[static NONCE_BYTES]) {
    uint64_t sizes[2] = {place_size, size};
    crypto_generichash_state state;
    memset(ret, 0, NONCE_BYTES);
    crypto_generichash_init(&state, keys->hash, sizeof(keys->hash), HASH_BYTES);
    crypto_generichash_update(&state, (const uint8_t *)sizes, sizeof(sizes));
    crypto_generichash_update(&state, place, place_size);
    if (GUARD(row_nonce)) {
        crypto_generichash_update(&state, plain, size);
    }
    crypto_generichash_final(&state, ret, HASH_BYTES);
}

int keys_seal_row(struct keys_reader *reader, uint64_t customer, const void *place,
                  size_t place_size, const void *plain, size_t size, uint8_t *ret) {
    struct row_keys keys;
    uint8_t nonce[NONCE_BYTES];
    int r = derive(reader, customer, &keys);
    if (r != 0) {
        return r;
    }
    make_nonce(&keys, place, place_size, plain, size, nonce);
    memcpy(ret, nonce, HASH_BYTES);
    cipher_seal(keys.seal, nonce, place, place_size, plain, size, ret + HASH_BYTES);
    sodium_memzero(&keys, sizeof(keys));
    return 0;
}

int keys_open_row(struct keys_reader *reader, uint64_t customer, const void *place,
                  size_t place_size, const void *sealed, size_t size, uint8_t *ret) {
    struct row_keys keys;
    uint8_t nonce[NONCE_BYTES] = {0};
    int r = size < KEYS_ROW_OVERHEAD ? -EBADMSG : derive(reader, customer, &keys);
    if (r != 0) {
        return r;
    }
    const uint8_t *bytes = sealed;
    memcpy(nonce, bytes, HASH_BYTES);
    r = cipher_open(keys.seal, nonce, place, place_size, bytes + HASH_BYTES, size - HASH_BYTES,
                    ret);
    sodium_memzero(&keys, sizeof(keys));
    return r;
}

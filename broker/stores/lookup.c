// SPDX-License-Identifier: Apache-2.0
// SipHash-2-4 with 128 bits of output over: what it is ('k' or 'r'), kind, NUL, value.
#include "broker/stores/lookup.h"

#include <sodium.h>
#include <string.h>

#include "schemas/limits.h"

enum { TEXT_BYTES_MAX = 1 + NAME_BYTES_MAX + 1 + IDENTITY_VALUE_BYTES_MAX };
_Static_assert(ID_BYTES_MAX <= IDENTITY_VALUE_BYTES_MAX, "a reference's id fits the buffer too");
_Static_assert(LOOKUP_BYTES == crypto_shorthash_siphashx24_BYTES, "the hash");

static bool look_up(const uint8_t *secret, char what, const char *kind, const char *value,
                    uint8_t *ret) {
    uint8_t text[TEXT_BYTES_MAX];
    size_t n_kind = strlen(kind) + 1, n_value = strlen(value);
    if (n_kind > sizeof(text) - 1 || n_value > sizeof(text) - 1 - n_kind) {
        return false;
    }
    text[0] = (uint8_t)what;
    mempcpy(mempcpy(text + 1, kind, n_kind), value, n_value);
    crypto_shorthash_siphashx24(ret, text, 1 + n_kind + n_value, secret);
    return true;
}

bool lookup_key(const uint8_t secret[static 16], const char *kind, const char *value,
                uint8_t ret[static LOOKUP_BYTES]) {
    return look_up(secret, 'k', kind, value, ret);
}

bool lookup_reference(const uint8_t secret[static 16], const char *kind, const char *id,
                      uint8_t ret[static LOOKUP_BYTES]) {
    return look_up(secret, 'r', kind, id, ret);
}

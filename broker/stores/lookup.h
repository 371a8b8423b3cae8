// SPDX-License-Identifier: Apache-2.0
// What stands in the view, and in the open half of an event, for a key or a reference: 16 bytes of
// a keyed hash. Nobody without the secret of keys/ can tell whose they are, not even by trying
// values, and equal ones are equal, so that a customer is found by them.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    LOOKUP_BYTES = 16,
    // One of Event.key_lookups: a lookup, then flags.
    LOOKUP_KEY_BYTES = LOOKUP_BYTES + 1,
    LOOKUP_VERIFIED = 1,
    LOOKUP_CLASS = 14, // these bits: one more than its enum key_class; 0 in older logs
    LOOKUP_STRONG = 2,
    LOOKUP_MEDIUM = 4,
    LOOKUP_TAKEN = 16, // from who had it: never in a record
};

// A customer's key, normalised. secret: keys_hash_secret(). False where it is longer than any key
// may be: there is none for it.
bool lookup_key(const uint8_t secret[static 16], const char *kind, const char *value,
                uint8_t ret[static LOOKUP_BYTES]);
// What events refer to: an order, a quote, a case and the like.
bool lookup_reference(const uint8_t secret[static 16], const char *kind, const char *id,
                      uint8_t ret[static LOOKUP_BYTES]);

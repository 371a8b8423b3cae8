// SPDX-License-Identifier: Apache-2.0
// The keys a handle speaks CURVE with: its own secret certificate, and the public one of the broker
// it will talk to. Read once, when the handle is made, and again when it is told to.
#pragma once

#include <stdbool.h>

#include "schemas/base/certificate.h"

struct keys {
    char *key, *broker_key; // paths; NULL: it speaks without keys
    struct certificate own; // with its secret
    char server[CERTIFICATE_KEY_CHARS + 1];
};

// Paths as touchbus.h has them: NULL stands for the environment, both or none. 0; -EINVAL where one
// of them is missing, or the file of certificate_read; with one line in why.
int keys_load(struct keys *keys, const char *key, const char *broker_key,
              char why[static CERTIFICATE_WHY_BYTES]);
// Reads the same files again. 0 unchanged; 1 others now; negative errno, and they stay as they
// were.
int keys_reload(struct keys *keys, char why[static CERTIFICATE_WHY_BYTES]);
void keys_clear(struct keys *keys);
static inline bool keys_present(const struct keys *keys) {
    return keys->key != NULL;
}

// SPDX-License-Identifier: Apache-2.0
// A growing array of names by number, filled on demand from the table VIEW_NAMES.
#include "broker/query/verbs_names.h"

#include <stdlib.h>
#include <string.h>

#include "broker/bounds.h"

struct names {
    char *texts[NAMES_MAX + 1];
};

struct names *names_new(void) {
    return calloc(1, sizeof(struct names));
}

struct names *names_free(struct names *names) {
    for (size_t i = 0; names != NULL && i <= NAMES_MAX; i++) {
        free(names->texts[i]);
    }
    free(names);
    return NULL;
}

const char *names_get(struct names *names, struct view_txn *txn, uint32_t number) {
    if (number == 0 || number > NAMES_MAX) {
        return "other";
    }
    if (names->texts[number] == NULL) {
        const uint8_t key[4] = {(uint8_t)(number >> 24), (uint8_t)(number >> 16),
                                (uint8_t)(number >> 8), (uint8_t)number};
        const void *value;
        size_t size;
        if (view_get(txn, VIEW_NAMES, key, sizeof(key), &value, &size) != 0) {
            return "other";
        }
        names->texts[number] = strndup(value, size);
    }
    return names->texts[number] != NULL ? names->texts[number] : "other";
}

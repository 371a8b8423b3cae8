// SPDX-License-Identifier: Apache-2.0
// Interned names: numbers from 1 in the order of their first appearance, so that a rebuild gives
// the same ones. Bounded by NAMES_MAX; a name holds at most ID_BYTES_MAX bytes.
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/fold/fold_internal.h"

enum { SLOTS = 1 << 17 };
_Static_assert(NAMES_MAX < SLOTS / 2, "the table never fills");

struct fold_names {
    char **texts; // texts[number - 1]
    uint32_t n;
    size_t n_allocated;
    uint32_t slots[SLOTS]; // number, 0: empty
};

static size_t slot_of(const struct fold_names *names, const char *name) {
    uint64_t hash = UINT64_C(14695981039346656037); // FNV-1a
    for (const char *at = name; *at != '\0'; at++) {
        hash = (hash ^ (uint8_t)*at) * UINT64_C(1099511628211);
    }
    size_t i = (hash ^ (hash >> 32)) & (SLOTS - 1);
    while (names->slots[i] != 0 && strcmp(names->texts[names->slots[i] - 1], name) != 0) {
        i = (i + 1) & (SLOTS - 1);
    }
    return i;
}

static int add(struct fold_names *names, const char *name, size_t size) {
    if (names->n == names->n_allocated) {
        size_t n = names->n_allocated == 0 ? 256 : names->n_allocated * 2;
        char **texts = reallocarray(names->texts, n, sizeof(*texts));
        if (texts == NULL) {
            return -ENOMEM;
        }
        names->texts = texts;
        names->n_allocated = n;
    }
    char *text = strndup(name, size);
    if (text == NULL) {
        return -ENOMEM;
    }
    size_t slot = slot_of(names, text);
    names->texts[names->n++] = text;
    names->slots[slot] = names->n;
    return 0;
}

static int load_row(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    struct fold_names *names = user;
    uint32_t number;
    if (key_size != sizeof(number)) {
        return -EBADMSG;
    }
    memcpy(&number, key, sizeof(number));
    return be32toh(number) == names->n + 1 ? add(names, value, size) : -EBADMSG;
}

int fold_names_new(struct view_txn *txn, struct fold_names **ret) {
    struct fold_names *names = calloc(1, sizeof(*names));
    if (names == NULL) {
        return -ENOMEM;
    }
    int r = view_scan(txn, VIEW_NAMES, NULL, 0, false, load_row, names);
    if (r != 0) {
        fold_names_free(names);
        return r;
    }
    *ret = names;
    return 0;
}

struct fold_names *fold_names_free(struct fold_names *names) {
    if (names == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < names->n; i++) {
        free(names->texts[i]);
    }
    free(names->texts);
    free(names);
    return NULL;
}

int fold_names_intern(struct fold_names *names, struct view_txn *txn, const char *name,
                      uint32_t *ret) {
    uint32_t number = names->slots[slot_of(names, name)];
    if (number == 0 && names->n < NAMES_MAX) {
        int r = add(names, name, strlen(name));
        if (r != 0) {
            return r;
        }
        number = names->n;
        uint32_t key = htobe32(number);
        r = view_put(txn, VIEW_NAMES, &key, sizeof(key), name, strlen(name));
        if (r != 0) {
            return r;
        }
    }
    *ret = number;
    return 0;
}

const char *fold_names_text(const struct fold_names *names, uint32_t number) {
    return number == 0 || number > names->n ? "other" : names->texts[number - 1];
}

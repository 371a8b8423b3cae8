// SPDX-License-Identifier: Apache-2.0
// Where lookups lead, with the last ones kept in memory: nearly every event asks for a key that was
// asked for before, and a row of that table lies anywhere in it. Only what leads somewhere is kept,
// and only the fold writes the table, through here; so what is kept is what stands there.
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/fold/fold_internal.h"
#include "schemas/base/guards.h"
#include "schemas/base/pages.h"

_Static_assert((LOOKUPS_KEPT & (LOOKUPS_KEPT - 1)) == 0, "a mask picks the place");

struct kept {
    uint8_t lookup[LOOKUP_BYTES];
    uint64_t owner; // 0: free
};

struct fold_lookups {
    struct kept kept[LOOKUPS_KEPT];
};

struct fold_lookups *fold_lookups_new(void) {
    return pages_new(sizeof(struct fold_lookups));
}

struct fold_lookups *fold_lookups_free(struct fold_lookups *lookups) {
    pages_free(lookups, sizeof(*lookups));
    return NULL;
}

// The one place where this lookup is kept: a keyed hash is as good an index as any.
static struct kept *place_of(const struct fold *fold, const uint8_t *lookup) {
    uint64_t number;
    memcpy(&number, lookup, sizeof(number));
    return &fold->lookups->kept[number & (LOOKUPS_KEPT - 1)];
}

static void keep(struct kept *place, const uint8_t *lookup, uint64_t owner) {
    memcpy(place->lookup, lookup, LOOKUP_BYTES);
    place->owner = owner;
}

static int number_of(const void *value, size_t size, uint64_t *ret) {
    if (size != sizeof(*ret)) {
        return -EBADMSG;
    }
    memcpy(ret, value, size);
    *ret = be64toh(*ret);
    return 0;
}

void fold_prefetch_owner(const struct fold *fold, const uint8_t lookup[static LOOKUP_BYTES]) {
    __builtin_prefetch(place_of(fold, lookup));
}

uint64_t fold_owner_at_hand(const struct fold *fold, const uint8_t lookup[static LOOKUP_BYTES]) {
    const struct kept *place = place_of(fold, lookup);
    return memcmp(place->lookup, lookup, LOOKUP_BYTES) == 0 ? place->owner : 0;
}

int fold_owner(struct fold *fold, struct view_txn *txn, const uint8_t lookup[static LOOKUP_BYTES],
               uint64_t *ret) {
    struct kept *place = place_of(fold, lookup);
    if (place->owner != 0 && memcmp(place->lookup, lookup, LOOKUP_BYTES) == 0) {
        *ret = place->owner;
        return 0;
    }
    const void *value;
    size_t size;
    *ret = 0;
    int r = view_get(txn, VIEW_LOOKUPS, lookup, LOOKUP_BYTES, &value, &size);
    r = r == 0 ? number_of(value, size, ret) : r;
    if (r == 0) {
        keep(place, lookup, *ret);
    }
    return r < 0 ? r : 0;
}

int fold_owner_claim(struct fold *fold, struct view_txn *txn,
                     const uint8_t lookup[static LOOKUP_BYTES], uint64_t customer, uint64_t *ret) {
    struct kept *place = place_of(fold, lookup);
    if (place->owner != 0 && memcmp(place->lookup, lookup, LOOKUP_BYTES) == 0) {
        *ret = place->owner;
        return 0;
    }
    const void *value;
    size_t size;
    uint64_t number = htobe64(customer);
    *ret = customer;
    int r = view_put_new(txn, VIEW_LOOKUPS, lookup, LOOKUP_BYTES, &number, sizeof(number), &value,
                         &size);
    r = r == 1 ? number_of(value, size, ret) : r;
    if (r == 0) {
        keep(place, lookup, *ret);
    }
    return r;
}

int fold_owner_set(struct fold *fold, struct view_txn *txn,
                   const uint8_t lookup[static LOOKUP_BYTES], uint64_t customer) {
    uint64_t number = htobe64(customer);
    keep(place_of(fold, lookup), lookup, customer);
    return view_put(txn, VIEW_LOOKUPS, lookup, LOOKUP_BYTES, &number, sizeof(number));
}

int fold_owner_drop(struct fold *fold, struct view_txn *txn,
                    const uint8_t lookup[static LOOKUP_BYTES]) {
    struct kept *place = place_of(fold, lookup);
    if (GUARD(dropped_key_is_forgotten) && memcmp(place->lookup, lookup, LOOKUP_BYTES) == 0) {
        place->owner = 0;
    }
    int r = view_delete(txn, VIEW_LOOKUPS, lookup, LOOKUP_BYTES);
    return r < 0 ? r : 0;
}

// SPDX-License-Identifier: Apache-2.0
// Reading for the verbs: keys to customers, entries of blocks to events. Knows the layout of the
// view's tables from view.h and never writes.
#include "broker/query/verbs_read.h"
#include "broker/policy/holder.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "broker/profile/profile.h"
#include "broker/stores/lookup.h"
#include "broker/tick/normalise.h"
#include "broker/tick/whose.h"
#include "schemas/envelope.h"

// ---- which customer

// 0, or 1 where there is none.
static int find_by_lookup(struct view_txn *txn, const uint8_t lookup[static LOOKUP_BYTES],
                          uint64_t *ret) {
    const void *found;
    size_t size;
    int r = view_get(txn, VIEW_LOOKUPS, lookup, LOOKUP_BYTES, &found, &size);
    if (r == 0 && size < sizeof(uint64_t)) {
        return -EBADMSG;
    }
    if (r == 0) {
        memcpy(ret, found, sizeof(*ret));
        *ret = be64toh(*ret);
    }
    return r;
}

// KIND=VALUE in two, in the call's arena. False where either is missing.
static bool split(struct call *call, const char *text, const char **ret_kind,
                  const char **ret_value) {
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text || equals[1] == '\0') {
        return false;
    }
    const char *kind = arena_printf(call_reads(call)->arena, "%.*s", (int)(equals - text), text);
    if (kind == NULL) {
        return false;
    }
    *ret_kind = kind;
    *ret_value = equals + 1;
    return true;
}

// 0; 1: no customer has such a key; -EINVAL after the call was refused.
static int lookup_of(struct call *call, const struct view_txn *txn, const char *text,
                     uint8_t ret[static LOOKUP_BYTES]) {
    const char *kind, *value = NULL;
    if (split(call, text, &kind, &value)) {
        struct policy_holder *holder = call_broker(call)->policy;
        const struct policy *policy = policy_take(holder);
        value = normalise_value(policy, kind, value, call_reads(call)->arena);
        policy_release(holder, policy);
    }
    if (value == NULL) {
        call_refuse(call, REASON_BAD_ARGUMENT, "key: expected KIND=VALUE with a valid value");
        return -EINVAL;
    }
    return lookup_key(view_lookup_secret(txn), kind, value, ret) ? 0 : 1;
}

static int by_key(struct call *call, struct view_txn *txn, const char *text, uint64_t *ret) {
    uint8_t lookup[LOOKUP_BYTES];
    int r = lookup_of(call, txn, text, lookup);
    return r == 0 ? find_by_lookup(txn, lookup, ret) : r;
}

int read_candidates(struct call *call, struct view_txn *txn, int64_t since_us,
                    uint64_t ret[static CANDIDATES_MAX], size_t *ret_n) {
    const char *key = call_argument(call, "key");
    uint8_t lookup[LOOKUP_BYTES];
    *ret_n = 0;
    int r = key != NULL ? lookup_of(call, txn, key, lookup) : 1;
    return r == 0
               ? identity_candidates(txn, call_reads(call)->arena, lookup, 1, since_us, ret, ret_n)
           : r > 0 || call_code(call) != REASON_OK ? 0
                                                   : r;
}

static int by_reference(struct call *call, struct view_txn *txn, const char *text, uint64_t *ret) {
    uint8_t lookup[LOOKUP_BYTES];
    const char *kind, *id;
    if (!split(call, text, &kind, &id)) {
        call_refuse(call, REASON_BAD_ARGUMENT, "reference: expected KIND=ID");
        return -EINVAL;
    }
    return lookup_reference(view_lookup_secret(txn), kind, id, lookup)
               ? find_by_lookup(txn, lookup, ret)
               : 1;
}

static int by_number(struct call *call, struct view_txn *txn, const char *text, uint64_t *ret) {
    (void)txn;
    if (envelope_parse_customer(text, ret) != 0) {
        call_refuse(call, REASON_BAD_ARGUMENT, "customer: expected c and a number, e.g. c42");
        return -EINVAL;
    }
    return 0;
}

bool read_customer_argument(struct call *call, struct view_txn *txn, uint64_t *ret) {
    static const struct {
        const char *name;
        int (*find)(struct call *call, struct view_txn *txn, const char *text, uint64_t *ret);
    } ways[] = {{"customer", by_number}, {"key", by_key}, {"reference", by_reference}};
    size_t n_given = 0, way = 0;
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        if (call_argument_at(call, ways[i].name, 0) != NULL) {
            n_given++;
            way = i;
        }
    }
    if (n_given != 1) {
        call_refuse(call, REASON_BAD_ARGUMENT,
                    "expected one of customer=c42, key=KIND=VALUE, reference=KIND=ID");
        return false;
    }
    int r = ways[way].find(call, txn, call_argument_at(call, ways[way].name, 0), ret);
    if (r != 0 && call_code(call) == REASON_OK) {
        call_refuse(call, r > 0 ? REASON_NOT_FOUND : REASON_INTERNAL, "%s",
                    r > 0 ? "no such customer" : "");
    }
    return r == 0;
}

int read_customer_record(struct call *call, struct view_txn *txn, uint64_t customer,
                         View__Customer **ret) {
    uint64_t key = htobe64(customer);
    const void *value;
    size_t size;
    int r = view_get(txn, VIEW_CUSTOMERS, &key, sizeof(key), &value, &size);
    if (r != 0) {
        return r;
    }
    *ret = view__customer__unpack(arena_allocator(call_reads(call)->arena), size, value);
    return *ret != NULL ? 0 : -EBADMSG;
}

int read_person(struct call *call, struct view_txn *txn, uint64_t customer,
                const View__Customer *record, View__Person **ret) {
    struct arena *arena = call_reads(call)->arena;
    uint64_t key = htobe64(customer);
    size_t size = 0;
    uint8_t *plain = arena_alloc(arena, record->person.len + 1);
    if (plain == NULL) {
        return -ENOMEM;
    }
    int r = view_unseal(txn, VIEW_CUSTOMERS, &key, sizeof(key), record->person.data,
                        record->person.len, plain, &size);
    if (r != 0) {
        return r;
    }
    *ret = view__person__unpack(arena_allocator(arena), size, plain);
    return *ret != NULL ? 0 : -EBADMSG;
}

int read_with_view(struct call *call, int (*body)(struct call *call, struct view_txn *txn)) {
    struct view_txn *txn;
    int r = view_begin(call_broker(call)->view, false, &txn);
    if (r != 0) {
        return r;
    }
    view_use_keys(txn, call_reads(call)->keys);
    call_as_of(call, view_applied(txn));
    r = body(call, txn);
    view_abort(txn);
    return r;
}

bool read_customer_of_call(struct call *call, struct view_txn *txn, uint64_t *ret_customer,
                           View__Customer **ret, int *ret_error) {
    *ret_error = 0;
    if (!read_customer_argument(call, txn, ret_customer)) {
        return false;
    }
    int r = read_customer_record(call, txn, *ret_customer, ret);
    if (r > 0) {
        call_refuse(call, REASON_NOT_FOUND, "no such customer");
    } else if (r == 0 && ((*ret)->erased_sequence != 0 ||
                          keys_is_destroyed(call_broker(call)->keys, *ret_customer))) {
        call_refuse(call, REASON_ERASED, "c%" PRIu64, *ret_customer);
        return false;
    }
    *ret_error = r < 0 ? r : 0;
    return r == 0;
}

// ---- events of the log

int read_begin(struct call *call) {
    struct query_reads *reads = call_reads(call);
    int r = log_reader_begin(reads->log);
    if (r != 0) {
        return r;
    }
    r = keys_reader_begin(reads->keys);
    if (r != 0) {
        log_reader_end(reads->log);
    }
    return r;
}

void read_end(struct call *call) {
    keys_reader_end(call_reads(call)->keys);
    log_reader_end(call_reads(call)->log);
}

int read_drop_erased(struct call *call, struct arena *arena, Touchbus__Event *event) {
    struct whose whose = {
        .keys = call_broker(call)->keys, .arena = arena, .policies = call_broker(call)->policy};
    if (!whose_may_name_erased(whose.keys, event->n_identities, event->n_keys)) {
        return 0;
    }
    int r = view_begin(call_broker(call)->view, false, &whose.txn);
    if (r == 0) {
        r = whose_drop_erased(&whose, event);
        view_abort(whose.txn);
    }
    return r;
}

int read_event(struct call *call, struct arena *arena, const struct block_head *block,
               uint32_t index, Touchbus__Event **ret) {
    struct block_entry entry;
    int r = block_entry_get(block, index, &entry);
    if (r != 0) {
        return r;
    }
    // The open half, then the plain text of the sealed one: protobuf merges a concatenation.
    uint8_t *plain = arena_alloc(arena, entry.open_size + entry.sealed_size + 1);
    if (plain == NULL) {
        return -ENOMEM;
    }
    memcpy(plain, entry.open, entry.open_size);
    size_t size = entry.open_size;
    int sealed = keys_unseal(call_reads(call)->keys, block_entry_key(&entry), block->run,
                             entry.sequence, entry.sealed, entry.sealed_size, plain + size);
    if (sealed < 0) {
        return sealed;
    }
    size += sealed == 0 ? entry.sealed_size - KEYS_SEAL_OVERHEAD : 0;
    const char *why;
    if (envelope_unpack_event(plain, size, false, arena, ret, &why) != 0) {
        return -EBADMSG;
    }
    (*ret)->redacted = (*ret)->redacted || sealed == 1;
    r = read_drop_erased(call, arena, *ret);
    return r != 0 ? r : sealed;
}

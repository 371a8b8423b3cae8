// SPDX-License-Identifier: Apache-2.0
// A customer's record, orders and quotes as the JSON of customer.show.
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/fold/items.h"
#include "broker/query/verbs_names.h"
#include "broker/query/verbs_read.h"
#include "schemas/base/clock.h"
#include "schemas/body.h"
#include "schemas/envelope.h"

json_t *read_time_json(int64_t time_us) {
    char text[CLOCK_TEXT_BYTES];
    return json_string(clock_format_rfc3339(time_us, text));
}

static json_t *keys_json(const View__Person *person) {
    json_t *keys = json_array();
    for (size_t i = 0; i < person->n_keys; i++) {
        const View__Key *key = person->keys[i];
        json_array_append_new(keys, json_pack("{s:s, s:s, s:b, s:I}", "kind", key->kind, "value",
                                              key->value, "verified", (int)key->verified,
                                              "sequence", (json_int_t)key->sequence));
    }
    return keys;
}

static json_t *attributes_json(const View__Person *person) {
    json_t *attributes = json_object();
    for (size_t i = 0; i < person->n_attributes; i++) {
        const View__Attribute *attribute = person->attributes[i];
        json_t *value = NULL;
        if (body_to_json(attribute->value.data, attribute->value.len, &value) != 0 ||
            json_is_null(value)) {
            json_decref(value); // deleted, kept by the fold only
            continue;
        }
        json_object_set_new(
            attributes, attribute->name,
            json_pack("{s:o, s:I}", "value", value, "sequence", (json_int_t)attribute->sequence));
    }
    return attributes;
}

static json_t *counters_json(struct call *call, struct view_txn *txn,
                             const View__Customer *record) {
    struct names *names = call_reads(call)->names;
    json_t *counters = json_array();
    for (size_t i = 0; i < record->n_counter_number; i++) {
        const char *channel = record->counter_channel[i] != 0
                                  ? names_get(names, txn, record->counter_channel[i])
                                  : "";
        json_array_append_new(counters,
                              json_pack("{s:s, s:s, s:I, s:o, s:o}", "channel", channel, "type",
                                        names_get(names, txn, record->counter_type[i]), "number",
                                        (json_int_t)record->counter_number[i], "first",
                                        read_time_json(record->counter_first_us[i]), "last",
                                        read_time_json(record->counter_last_us[i])));
    }
    return counters;
}

json_t *read_interaction_json(struct call *call, struct view_txn *txn, uint64_t sequence,
                              int64_t time_us, uint32_t type, uint32_t channel) {
    struct names *names = call_reads(call)->names;
    return json_pack("{s:I, s:o, s:s, s:s}", "sequence", (json_int_t)sequence, "time",
                     read_time_json(time_us), "type", names_get(names, txn, type), "channel",
                     channel != 0 ? names_get(names, txn, channel) : "");
}

static json_t *recent_json(struct call *call, struct view_txn *txn, const View__Customer *record) {
    json_t *recent = json_array();
    for (size_t i = record->n_recent_sequence; i-- > 0;) {
        json_array_append_new(recent, read_interaction_json(call, txn, record->recent_sequence[i],
                                                            record->recent_time_us[i],
                                                            record->recent_type[i],
                                                            record->recent_channel[i]));
    }
    return recent;
}

// ---- orders and quotes, as they were shown before they were items

static const View__Attribute *member_of(const View__Item *item, const char *name) {
    for (size_t i = 0; i < item->n_members; i++) {
        if (strcmp(item->members[i]->name, name) == 0) {
            return item->members[i];
        }
    }
    return NULL;
}

// A new reference; NULL where the item has none, or nil.
static json_t *member_json(const View__Item *item, const char *name) {
    const View__Attribute *member = member_of(item, name);
    json_t *json = NULL;
    if (member == NULL || body_to_json(member->value.data, member->value.len, &json) != 0) {
        return NULL;
    }
    if (json_is_null(json)) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static void set_member(json_t *object, const char *shown, const View__Item *item,
                       const char *name) {
    json_t *json = member_json(item, name);
    if (json != NULL) {
        json_object_set_new(object, shown, json);
    }
}

static void set_default(json_t *object, const char *name, json_t *value) {
    if (json_object_get(object, name) == NULL) {
        json_object_set(object, name, value);
    }
    json_decref(value);
}

static json_int_t sequence_of(const View__Attribute *member) {
    return member == NULL ? 0 : (json_int_t)member->sequence;
}

static json_t *order_json(const View__Item *order) {
    const View__Attribute *placed = member_of(order, "placed");
    json_t *json =
        json_pack("{s:s, s:I, s:I, s:o}", "order_id", order->id, "placed_sequence",
                  sequence_of(placed), "changed_sequence", (json_int_t)order->changed_sequence,
                  "changed", read_time_json(order->changed_us));
    static const char *const members[] = {"status", "revision", "currency",     "quote_id",
                                          "eta",    "lines",    "return_reason"};
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        set_member(json, members[i], order, members[i]);
    }
    set_member(json, "delivery_outcome", order, "delivery");
    set_default(json, "status", json_string(""));
    set_default(json, "revision", json_integer(0));
    if (placed != NULL) {
        json_object_set_new(json, "placed", read_time_json(placed->time_us));
    }
    return json;
}

static json_t *quote_json(const View__Item *quote) {
    json_t *json = json_pack("{s:s, s:I, s:I}", "quote_id", quote->id, "issued_sequence",
                             sequence_of(member_of(quote, "lines")), "changed_sequence",
                             (json_int_t)quote->changed_sequence);
    static const char *const members[] = {"revision", "currency", "valid_until", "channel",
                                          "lines"};
    set_member(json, "state", quote, "outcome");
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        set_member(json, members[i], quote, members[i]);
    }
    set_default(json, "state", json_string("open"));
    set_default(json, "revision", json_integer(0));
    return json;
}

static json_t *item_json(enum item_kind kind, const View__Item *item) {
    return kind == ITEM_ORDER ? order_json(item) : quote_json(item);
}

enum { ROW_KEY_BYTES = ITEM_KEY_BYTES, ROWS_SCANNED_MAX = 20000 };

// The rows changed last, found by what stands open in them.
struct rows {
    struct {
        uint64_t changed;
        uint8_t key[ROW_KEY_BYTES];
    } rows[CALL_ROWS_MAX];
    size_t n, oldest, n_scanned;
};

static void find_oldest(struct rows *rows) {
    rows->oldest = 0;
    for (size_t i = 1; i < rows->n; i++) {
        if (rows->rows[i].changed < rows->rows[rows->oldest].changed) {
            rows->oldest = i;
        }
    }
}

static int scan_row(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    struct rows *rows = user;
    uint64_t changed;
    if (key_size != ROW_KEY_BYTES || size < sizeof(changed)) {
        return -EBADMSG;
    }
    memcpy(&changed, value, sizeof(changed));
    changed = be64toh(changed);
    bool is_full = rows->n == CALL_ROWS_MAX;
    if (!is_full || changed > rows->rows[rows->oldest].changed) {
        size_t at = is_full ? rows->oldest : rows->n++;
        rows->rows[at].changed = changed;
        memcpy(rows->rows[at].key, key, ROW_KEY_BYTES);
        if (rows->n == CALL_ROWS_MAX) {
            find_oldest(rows);
        }
    }
    return ++rows->n_scanned >= ROWS_SCANNED_MAX;
}

static int compare_changed(const void *a, const void *b) {
    uint64_t left, right;
    memcpy(&left, a, sizeof(left));
    memcpy(&right, b, sizeof(right));
    return left < right ? 1 : left > right ? -1 : 0;
}

// The row as JSON; *ret NULL where its key is destroyed.
static int row_json(struct call *call, struct view_txn *txn, enum item_kind kind,
                    const uint8_t *key, json_t **ret) {
    struct arena *arena = call_reads(call)->arena;
    const void *value;
    size_t size, plain_size = 0;
    *ret = NULL;
    int r = view_get(txn, VIEW_ITEMS, key, ROW_KEY_BYTES, &value, &size);
    if (r != 0) {
        return r > 0 ? -EBADMSG : r;
    }
    size -= sizeof(uint64_t);
    uint8_t *plain = arena_alloc(arena, size + 1);
    r = plain == NULL
            ? -ENOMEM
            : view_unseal(txn, VIEW_ITEMS, key, ROW_KEY_BYTES,
                          (const uint8_t *)value + sizeof(uint64_t), size, plain, &plain_size);
    if (r != 0 || plain_size == 0) {
        return r;
    }
    const View__Item *item = view__item__unpack(arena_allocator(arena), plain_size, plain);
    *ret = item == NULL ? NULL : item_json(kind, item);
    return item == NULL ? -EBADMSG : *ret == NULL ? -ENOMEM : 0;
}

// The last changed first, at most CALL_ROWS_MAX.
static json_t *rows_json(struct call *call, struct view_txn *txn, enum item_kind kind,
                         uint64_t customer) {
    uint8_t prefix[sizeof(customer) + 1];
    customer = htobe64(customer);
    memcpy(prefix, &customer, sizeof(customer));
    prefix[sizeof(customer)] = (uint8_t)kind;
    struct rows *rows = arena_calloc(call_reads(call)->arena, 1, sizeof(*rows));
    json_t *list = json_array();
    int r = rows == NULL || list == NULL
                ? -ENOMEM
                : view_scan(txn, VIEW_ITEMS, prefix, sizeof(prefix), false, scan_row, rows);
    if (r >= 0) {
        qsort(rows->rows, rows->n, sizeof(rows->rows[0]), compare_changed);
        r = 0;
    }
    for (size_t i = 0; r == 0 && i < rows->n; i++) {
        json_t *json = NULL;
        r = row_json(call, txn, kind, rows->rows[i].key, &json);
        if (json != NULL) {
            json_array_append_new(list, json);
        }
    }
    if (r < 0) {
        json_decref(list);
        return NULL;
    }
    return list;
}

// Keys of one page, which is bounded by a table's evenness: a 256th of the customer's rows.
struct page {
    uint8_t (*keys)[ROW_KEY_BYTES]; // ROWS_SCANNED_MAX
    size_t n;
};

static int page_row(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    (void)value;
    (void)size;
    struct page *page = user;
    if (key_size != ROW_KEY_BYTES) {
        return -EBADMSG;
    }
    memcpy(page->keys[page->n++], key, key_size);
    return page->n == ROWS_SCANNED_MAX;
}

int read_items(struct call *call, struct view_txn *txn, enum item_kind kind, uint64_t customer,
               uint8_t first, struct arena *arena, json_t *list) {
    uint8_t prefix[sizeof(customer) + 2];
    struct page page = {.keys = arena_alloc(arena, (size_t)ROWS_SCANNED_MAX * ROW_KEY_BYTES)};
    customer = htobe64(customer);
    memcpy(prefix, &customer, sizeof(customer));
    prefix[sizeof(customer)] = (uint8_t)kind;
    prefix[sizeof(customer) + 1] = first;
    int r = page.keys == NULL
                ? -ENOMEM
                : view_scan(txn, VIEW_ITEMS, prefix, sizeof(prefix), false, page_row, &page);
    for (size_t i = 0; r >= 0 && i < page.n; i++) {
        json_t *json = NULL;
        r = row_json(call, txn, kind, page.keys[i], &json);
        if (json != NULL) {
            json_array_append_new(list, json);
        }
    }
    return r < 0 ? r : 0;
}

json_t *read_customer_json(struct call *call, struct view_txn *txn, uint64_t customer,
                           const View__Customer *record) {
    char number[24];
    View__Person *person;
    if (read_person(call, txn, customer, record, &person) != 0) {
        return NULL;
    }
    return json_pack(
        "{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I}", "customer",
        envelope_format_customer(customer, number), "keys", keys_json(person), "attributes",
        attributes_json(person), "counters", counters_json(call, txn, record), "recent",
        recent_json(call, txn, record), "orders", rows_json(call, txn, ITEM_ORDER, customer),
        "quotes", rows_json(call, txn, ITEM_QUOTE, customer), "first_sequence",
        (json_int_t)record->first_sequence, "last_sequence", (json_int_t)record->last_sequence,
        "events", (json_int_t)record->events, "dropped", (json_int_t)record->dropped);
}

// SPDX-License-Identifier: Apache-2.0
// A customer's record, orders and quotes as the JSON of customer.show.
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/query/verbs_names.h"
#include "broker/query/verbs_read.h"
#include "broker/stores/lookup.h"
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

static void set_text(json_t *object, const char *name, const char *text) {
    if (text[0] != '\0') {
        json_object_set_new(object, name, json_string(text));
    }
}

static void set_lines(json_t *object, ProtobufCBinaryData lines) {
    json_t *json = NULL;
    if (lines.len > 0 && body_to_json(lines.data, lines.len, &json) == 0) {
        json_object_set_new(object, "lines", json);
    }
}

static json_t *order_json(struct arena *arena, const void *value, size_t size) {
    const View__Order *order = view__order__unpack(arena_allocator(arena), size, value);
    if (order == NULL) {
        return NULL;
    }
    json_t *json = json_pack("{s:s, s:s, s:I, s:I, s:I}", "order_id", order->order_id, "status",
                             order->status, "revision", (json_int_t)order->revision,
                             "placed_sequence", (json_int_t)order->placed_sequence,
                             "changed_sequence", (json_int_t)order->changed_sequence);
    set_text(json, "currency", order->currency);
    set_text(json, "quote_id", order->quote_id);
    set_text(json, "eta", order->eta);
    set_text(json, "return_reason", order->return_reason);
    set_text(json, "delivery_outcome", order->delivery_outcome);
    set_lines(json, order->lines);
    if (order->placed_sequence != 0) {
        json_object_set_new(json, "placed", read_time_json(order->placed_us));
    }
    if (order->changed_sequence != 0) {
        json_object_set_new(json, "changed", read_time_json(order->changed_us));
    }
    return json;
}

static json_t *quote_json(struct arena *arena, const void *value, size_t size) {
    const View__Quote *quote = view__quote__unpack(arena_allocator(arena), size, value);
    if (quote == NULL) {
        return NULL;
    }
    json_t *json = json_pack("{s:s, s:s, s:I, s:I, s:I}", "quote_id", quote->quote_id, "state",
                             quote->outcome[0] != '\0' ? quote->outcome : "open", "revision",
                             (json_int_t)quote->revision, "issued_sequence",
                             (json_int_t)quote->issued_sequence, "changed_sequence",
                             (json_int_t)quote->changed_sequence);
    set_text(json, "currency", quote->currency);
    set_text(json, "valid_until", quote->valid_until);
    set_text(json, "channel", quote->channel);
    set_lines(json, quote->lines);
    return json;
}

enum { ROW_KEY_BYTES = sizeof(uint64_t) + LOOKUP_BYTES, ROWS_SCANNED_MAX = 20000 };

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
static int row_json(struct call *call, struct view_txn *txn, enum view_table table,
                    const uint8_t *key,
                    json_t *(*row)(struct arena *arena, const void *value, size_t size),
                    json_t **ret) {
    struct arena *arena = call_reads(call)->arena;
    const void *value;
    size_t size, plain_size = 0;
    int r = view_get(txn, table, key, ROW_KEY_BYTES, &value, &size);
    if (r != 0) {
        return r > 0 ? -EBADMSG : r;
    }
    size -= sizeof(uint64_t);
    uint8_t *plain = arena_alloc(arena, size + 1);
    r = plain == NULL
            ? -ENOMEM
            : view_unseal(txn, table, key, ROW_KEY_BYTES, (const uint8_t *)value + sizeof(uint64_t),
                          size, plain, &plain_size);
    *ret = r == 0 && plain_size > 0 ? row(arena, plain, plain_size) : NULL;
    return r == 0 && plain_size > 0 && *ret == NULL ? -ENOMEM : r;
}

// The last changed first, at most CALL_ROWS_MAX.
static json_t *rows_json(struct call *call, struct view_txn *txn, enum view_table table,
                         uint64_t customer,
                         json_t *(*row)(struct arena *arena, const void *value, size_t size)) {
    uint64_t prefix = htobe64(customer);
    struct rows *rows = arena_calloc(call_reads(call)->arena, 1, sizeof(*rows));
    json_t *list = json_array();
    int r = rows == NULL || list == NULL
                ? -ENOMEM
                : view_scan(txn, table, &prefix, sizeof(prefix), false, scan_row, rows);
    if (r >= 0) {
        qsort(rows->rows, rows->n, sizeof(rows->rows[0]), compare_changed);
        r = 0;
    }
    for (size_t i = 0; r == 0 && i < rows->n; i++) {
        json_t *json = NULL;
        r = row_json(call, txn, table, rows->rows[i].key, row, &json);
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

int read_rows(struct call *call, struct view_txn *txn, enum view_table table, uint64_t customer,
              uint8_t first, struct arena *arena, json_t *list) {
    uint8_t prefix[sizeof(customer) + 1];
    struct page page = {.keys = arena_alloc(arena, (size_t)ROWS_SCANNED_MAX * ROW_KEY_BYTES)};
    customer = htobe64(customer);
    memcpy(prefix, &customer, sizeof(customer));
    prefix[sizeof(customer)] = first;
    int r = page.keys == NULL
                ? -ENOMEM
                : view_scan(txn, table, prefix, sizeof(prefix), false, page_row, &page);
    for (size_t i = 0; r >= 0 && i < page.n; i++) {
        json_t *json = NULL;
        r = row_json(call, txn, table, page.keys[i], table == VIEW_ORDERS ? order_json : quote_json,
                     &json);
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
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I}", "customer",
                     envelope_format_customer(customer, number), "keys", keys_json(person),
                     "attributes", attributes_json(person), "counters",
                     counters_json(call, txn, record), "recent", recent_json(call, txn, record),
                     "orders", rows_json(call, txn, VIEW_ORDERS, customer, order_json), "quotes",
                     rows_json(call, txn, VIEW_QUOTES, customer, quote_json), "first_sequence",
                     (json_int_t)record->first_sequence, "last_sequence",
                     (json_int_t)record->last_sequence, "events", (json_int_t)record->events,
                     "dropped", (json_int_t)record->dropped);
}

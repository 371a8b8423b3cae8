// SPDX-License-Identifier: Apache-2.0
// Reading for the verbs: keys to customers, records to JSON, entries of blocks to events. Knows the
// layout of the view's tables from view.h and never writes.
#include "broker/verbs_read.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "broker/normalise.h"
#include "broker/verbs_names.h"
#include "schemas/base/clock.h"
#include "schemas/body.h"
#include "schemas/envelope.h"

enum { KEY_TEXT_MAX = NAME_BYTES_MAX + 1 + IDENTITY_VALUE_BYTES_MAX };

json_t *read_time_json(int64_t time_us) {
    char text[CLOCK_TEXT_BYTES];
    return json_string(clock_format_rfc3339(time_us, text));
}

// ---- which customer

// kind \0 value -> customer in VIEW_KEYS or VIEW_REFERENCES. 0, or 1 where there is none.
static int find_by_text(struct view_txn *txn, enum view_table table, const char *kind,
                        size_t kind_size, const char *value, uint64_t *ret) {
    char key[KEY_TEXT_MAX];
    size_t value_size = strlen(value);
    if (kind_size == 0 || kind_size > NAME_BYTES_MAX || value_size > IDENTITY_VALUE_BYTES_MAX) {
        return 1;
    }
    memcpy(key, kind, kind_size);
    key[kind_size] = '\0';
    memcpy(key + kind_size + 1, value, value_size);
    const void *found;
    size_t size;
    int r = view_get(txn, table, key, kind_size + 1 + value_size, &found, &size);
    if (r == 0 && size < sizeof(uint64_t)) {
        return -EBADMSG;
    }
    if (r == 0) {
        memcpy(ret, found, sizeof(*ret));
        *ret = be64toh(*ret);
    }
    return r;
}

static int by_key(struct call *call, struct view_txn *txn, const char *text, uint64_t *ret) {
    struct arena *arena = call_reads(call)->arena;
    const char *equals = strchr(text, '=');
    char *kind = equals != NULL && equals != text
                     ? arena_printf(arena, "%.*s", (int)(equals - text), text)
                     : NULL;
    const char *value = kind != NULL ? normalise_value(kind, equals + 1, arena) : NULL;
    if (value == NULL) {
        call_refuse(call, REASON_BAD_ARGUMENT, "key: expected KIND=VALUE with a valid value");
        return -EINVAL;
    }
    return find_by_text(txn, VIEW_KEYS, kind, strlen(kind), value, ret);
}

static int by_reference(struct call *call, struct view_txn *txn, const char *text, uint64_t *ret) {
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text || equals[1] == '\0') {
        call_refuse(call, REASON_BAD_ARGUMENT, "reference: expected KIND=ID");
        return -EINVAL;
    }
    return find_by_text(txn, VIEW_REFERENCES, text, (size_t)(equals - text), equals + 1, ret);
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

// ---- the record as JSON

static json_t *keys_json(const View__Customer *record) {
    json_t *keys = json_array();
    for (size_t i = 0; i < record->n_keys; i++) {
        const View__Key *key = record->keys[i];
        json_array_append_new(keys, json_pack("{s:s, s:s, s:b, s:I}", "kind", key->kind, "value",
                                              key->value, "verified", (int)key->verified,
                                              "sequence", (json_int_t)key->sequence));
    }
    return keys;
}

static json_t *attributes_json(const View__Customer *record) {
    json_t *attributes = json_object();
    for (size_t i = 0; i < record->n_attributes; i++) {
        const View__Attribute *attribute = record->attributes[i];
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

struct rows {
    struct arena *arena;
    json_t *(*row)(struct arena *arena, const void *value, size_t size);
    json_t *list;
};

static int add_row(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    (void)key;
    (void)key_size;
    struct rows *rows = user;
    json_t *row = rows->row(rows->arena, value, size);
    if (row == NULL || json_array_append_new(rows->list, row) != 0) {
        return -ENOMEM;
    }
    return json_array_size(rows->list) >= CALL_ROWS_MAX;
}

// The highest ids first, at most CALL_ROWS_MAX.
static json_t *rows_json(struct call *call, struct view_txn *txn, enum view_table table,
                         uint64_t customer,
                         json_t *(*row)(struct arena *arena, const void *value, size_t size)) {
    uint64_t prefix = htobe64(customer);
    struct rows rows = {.arena = call_reads(call)->arena, .row = row, .list = json_array()};
    if (rows.list == NULL ||
        view_scan(txn, table, &prefix, sizeof(prefix), true, add_row, &rows) < 0) {
        json_decref(rows.list);
        return NULL;
    }
    return rows.list;
}

json_t *read_customer_json(struct call *call, struct view_txn *txn, uint64_t customer,
                           const View__Customer *record) {
    char number[24];
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I}", "customer",
                     envelope_format_customer(customer, number), "keys", keys_json(record),
                     "attributes", attributes_json(record), "counters",
                     counters_json(call, txn, record), "recent", recent_json(call, txn, record),
                     "orders", rows_json(call, txn, VIEW_ORDERS, customer, order_json), "quotes",
                     rows_json(call, txn, VIEW_QUOTES, customer, quote_json), "first_sequence",
                     (json_int_t)record->first_sequence, "last_sequence",
                     (json_int_t)record->last_sequence, "events", (json_int_t)record->events,
                     "dropped", (json_int_t)record->dropped);
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
    int sealed = keys_unseal(call_reads(call)->keys, entry.customer, block->run, entry.sequence,
                             entry.sealed, entry.sealed_size, plain + size);
    if (sealed < 0) {
        return sealed;
    }
    size += sealed == 0 ? entry.sealed_size - KEYS_SEAL_OVERHEAD : 0;
    const char *why;
    r = envelope_unpack_event(plain, size, false, arena, ret, &why);
    return r != 0 ? -EBADMSG : sealed;
}

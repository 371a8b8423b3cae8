// SPDX-License-Identifier: Apache-2.0
// Reading an event's data and the rows of orders and quotes, for the fold's files. Everything is
// copied into the fold's arena: the event is only borrowed.
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "broker/fold/fold_internal.h"
#include "schemas/limits.h"

static bool find(const struct fold_step *step, const char *name, struct body_value *ret) {
    const ProtobufCBinaryData *data = &step->event->data;
    return data->len > 0 && body_find(data->data, data->len, name, ret);
}

char *fold_data_text(const struct fold_step *step, const char *name) {
    struct body_value value;
    if (!find(step, name, &value)) {
        return NULL;
    }
    if (value.kind == BODY_INTEGER) {
        return arena_printf(step->fold->arena, "%" PRId64, value.integer);
    }
    if (value.kind != BODY_TEXT || value.text_size == 0 || value.text_size > ID_BYTES_MAX ||
        memchr(value.text, '\0', value.text_size) != NULL) {
        return NULL;
    }
    char *text = arena_alloc(step->fold->arena, value.text_size + 1);
    if (text != NULL) {
        memcpy(text, value.text, value.text_size);
        text[value.text_size] = '\0';
    }
    return text;
}

bool fold_data_unsigned(const struct fold_step *step, const char *name, uint64_t *ret) {
    struct body_value value;
    if (!find(step, name, &value) || value.kind != BODY_INTEGER || value.integer < 0) {
        return false;
    }
    *ret = (uint64_t)value.integer;
    return true;
}

bool fold_data_raw(const struct fold_step *step, const char *name, size_t size_max,
                   ProtobufCBinaryData *ret) {
    struct body_value value;
    if (!find(step, name, &value)) {
        return false;
    }
    if (value.raw_size > size_max) {
        step->customer->dropped++;
        return false;
    }
    uint8_t *copy = arena_copy(step->fold->arena, value.raw, value.raw_size);
    if (copy == NULL) {
        return false;
    }
    *ret = (ProtobufCBinaryData){.len = value.raw_size, .data = copy};
    return true;
}

enum { ROW_KEY_BYTES = sizeof(uint64_t) + LOOKUP_BYTES };

// Customer, then the lookup of the id. False where the id is longer than any may be.
static bool row_key(const struct fold_step *step, enum view_table table, const char *id,
                    uint8_t ret[static ROW_KEY_BYTES]) {
    uint64_t number = htobe64(step->event->customer);
    memcpy(ret, &number, sizeof(number));
    return lookup_reference(view_lookup_secret(step->txn), table == VIEW_ORDERS ? "order" : "quote",
                            id, ret + sizeof(number));
}

int fold_row_get(const struct fold_step *step, enum view_table table, const char *id,
                 const ProtobufCMessageDescriptor *descriptor, ProtobufCMessage **ret) {
    struct arena *arena = step->fold->arena;
    uint8_t key[ROW_KEY_BYTES];
    const void *value;
    size_t size, plain_size = 0;
    *ret = NULL;
    int r = row_key(step, table, id, key)
                ? view_get(step->txn, table, key, sizeof(key), &value, &size)
                : 1;
    if (r != 0) {
        return r < 0 ? r : 0;
    }
    step->fold->record_bytes += size;
    uint8_t *plain = arena_alloc(arena, size + 1);
    if (plain == NULL) {
        return -ENOMEM;
    }
    if (size < sizeof(uint64_t)) {
        return -EBADMSG;
    }
    r = view_unseal(step->txn, table, key, sizeof(key), (const uint8_t *)value + sizeof(uint64_t),
                    size - sizeof(uint64_t), plain, &plain_size);
    if (r != 0 || plain_size == 0) {
        return r;
    }
    *ret = protobuf_c_message_unpack(descriptor, arena_allocator(arena), plain_size, plain);
    return *ret == NULL ? -EBADMSG : 0;
}

int fold_row_put(const struct fold_step *step, enum view_table table, const char *id,
                 const ProtobufCMessage *row) {
    uint8_t key[ROW_KEY_BYTES];
    uint64_t changed = htobe64(step->event->sequence);
    size_t size = protobuf_c_message_get_packed_size(row), sealed_size = 0;
    uint8_t *packed = arena_alloc(step->fold->arena, size + 1);
    uint8_t *sealed = arena_alloc(step->fold->arena, sizeof(changed) + size + VIEW_SEAL_OVERHEAD);
    if (packed == NULL || sealed == NULL) {
        return -ENOMEM;
    }
    if (!row_key(step, table, id, key)) {
        return 0;
    }
    protobuf_c_message_pack(row, packed);
    memcpy(sealed, &changed, sizeof(changed));
    int r = view_seal(step->txn, table, key, sizeof(key), packed, size, sealed + sizeof(changed),
                      &sealed_size);
    return r != 0 ? r
                  : view_put(step->txn, table, key, sizeof(key), sealed,
                             sizeof(changed) + sealed_size);
}

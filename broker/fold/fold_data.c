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

static size_t row_key(uint8_t key[static FOLD_KEY_BYTES_MAX], uint64_t customer, const char *id) {
    uint64_t number = htobe64(customer);
    size_t size = strlen(id);
    memcpy(key, &number, sizeof(number));
    mempcpy(key + sizeof(number), id, size); // fold_data_text: at most ID_BYTES_MAX
    return sizeof(number) + size;
}

int fold_row_get(const struct fold_step *step, enum view_table table, const char *id,
                 const ProtobufCMessageDescriptor *descriptor, ProtobufCMessage **ret) {
    uint8_t key[FOLD_KEY_BYTES_MAX];
    const void *value;
    size_t size;
    int r = view_get(step->txn, table, key, row_key(key, step->event->customer, id), &value, &size);
    if (r != 0) {
        *ret = NULL;
        return r < 0 ? r : 0;
    }
    step->fold->record_bytes += size;
    *ret = protobuf_c_message_unpack(descriptor, arena_allocator(step->fold->arena), size, value);
    return *ret == NULL ? -EBADMSG : 0;
}

int fold_row_put(const struct fold_step *step, enum view_table table, const char *id,
                 const ProtobufCMessage *row) {
    uint8_t key[FOLD_KEY_BYTES_MAX];
    size_t size = protobuf_c_message_get_packed_size(row);
    uint8_t *packed = arena_alloc(step->fold->arena, size);
    if (packed == NULL) {
        return -ENOMEM;
    }
    protobuf_c_message_pack(row, packed);
    return view_put(step->txn, table, key, row_key(key, step->event->customer, id), packed, size);
}

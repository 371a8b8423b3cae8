// SPDX-License-Identifier: Apache-2.0
// The plans by which messages are packed: what protobuf-c's descriptors say, brought into the form
// that is the least work for each message. Made once, under the lock, then read by any thread
// without it. They know what proto3 makes of a .proto file: singular, repeated (numbers packed) and
// oneof fields of the types our files use. Any other field is a bug of ours.
#include "schemas/base/pack_plan.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>

enum { WIRE_VARINT = 0, WIRE_LENGTH = 2, ROWS_MAX = 1024 };

_Static_assert(PACK_PLAN_SLOTS > PACK_PLANS_MAX, "one of them is free");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a word's upper half is its end");

struct pack_plan pack_plans[PACK_PLANS_MAX];
_Atomic(const struct pack_plan *) pack_plan_slots[PACK_PLAN_SLOTS];

static struct {
    pthread_mutex_t lock;
    unsigned n_plans, n_shown, n_rows;
    struct pack_row rows[ROWS_MAX];
} known = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool is_wide(ProtobufCType type) {
    return type == PROTOBUF_C_TYPE_UINT64 || type == PROTOBUF_C_TYPE_SINT64 ||
           type == PROTOBUF_C_TYPE_STRING || type == PROTOBUF_C_TYPE_BYTES ||
           type == PROTOBUF_C_TYPE_MESSAGE;
}

static enum pack_kind kind_of(const ProtobufCFieldDescriptor *field) {
    bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
        return PACK_KIND_ONEOF;
    }
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        return repeated ? PACK_KIND_TEXTS : PACK_KIND_TEXT;
    }
    if (field->type == PROTOBUF_C_TYPE_BYTES) {
        return repeated ? PACK_KIND_DATAS : PACK_KIND_DATA;
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        return repeated ? PACK_KIND_MESSAGES : PACK_KIND_MESSAGE;
    }
    if (repeated) {
        assert((field->flags & PROTOBUF_C_FIELD_FLAG_PACKED) != 0);
        return PACK_KIND_COLUMN;
    }
    if (field->type == PROTOBUF_C_TYPE_UINT64 || field->type == PROTOBUF_C_TYPE_UINT32) {
        return PACK_KIND_UNSIGNED;
    }
    return field->type == PROTOBUF_C_TYPE_SINT64 ? PACK_KIND_ZIGZAG
           : field->type == PROTOBUF_C_TYPE_BOOL ? PACK_KIND_TRUE
                                                 : PACK_KIND_NUMBER;
}

static void set_tag(struct pack_row *row, uint32_t number, unsigned wire_type) {
    uint32_t tag = number << PACK_NUMBER_SHIFT | wire_type;
    bool is_short = tag < 0x80;
    row->tag_size = is_short ? 1 : 2;
    row->tag[0] = is_short ? 0 : (uint8_t)(tag | 0x80);
    row->tag[1] = (uint8_t)(is_short ? tag : tag >> 7);
}

// Where the word is that says whether it stands.
static void set_word(struct pack_row *row, const ProtobufCFieldDescriptor *field) {
    bool is_narrow = false;
    size_t at = field->offset;
    if (row->kind == PACK_KIND_ONEOF) {
        at = field->quantifier_offset;
        is_narrow = true;
    } else if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        at = field->quantifier_offset;
    } else if (row->kind == PACK_KIND_DATA) {
        at += offsetof(ProtobufCBinaryData, len);
    } else {
        is_narrow = !is_wide(field->type);
    }
    row->shift = is_narrow ? 32 : 0;
    row->word = (uint16_t)(is_narrow ? at - sizeof(uint32_t) : at); // a message begins with others
}

// Makes room for a message that is not known yet.
static unsigned index_of(const ProtobufCMessageDescriptor *descriptor) {
    unsigned i = 0;
    while (i < known.n_plans && pack_plans[i].descriptor != descriptor) {
        i++;
    }
    if (i == known.n_plans) {
        assert(known.n_plans < PACK_PLANS_MAX && descriptor->sizeof_message <= UINT16_MAX);
        pack_plans[known.n_plans++].descriptor = descriptor;
    }
    return i;
}

static void make_row(struct pack_row *row, const ProtobufCFieldDescriptor *field) {
    assert(field->id <= PACK_NUMBER_MAX &&
           (field->label == PROTOBUF_C_LABEL_REPEATED || field->label == PROTOBUF_C_LABEL_NONE));
    bool is_message = field->type == PROTOBUF_C_TYPE_MESSAGE;
    bool has_length = is_message || field->type == PROTOBUF_C_TYPE_STRING ||
                      field->type == PROTOBUF_C_TYPE_BYTES ||
                      field->label == PROTOBUF_C_LABEL_REPEATED;
    row->member = (uint16_t)field->offset;
    row->kind = (uint8_t)kind_of(field);
    row->type = (uint8_t)field->type;
    row->number = (uint8_t)field->id;
    row->message = is_message ? (uint8_t)index_of(field->descriptor) : 0;
    set_tag(row, field->id, has_length ? WIRE_LENGTH : WIRE_VARINT);
    set_word(row, field);
}

static void make_plan(struct pack_plan *plan) {
    const ProtobufCMessageDescriptor *descriptor = plan->descriptor;
    struct pack_row *rows = known.rows + known.n_rows;
    unsigned n = 0;
    assert(descriptor->n_fields <= ROWS_MAX - known.n_rows);
    for (unsigned number = 0; number < sizeof(plan->below); number++) {
        plan->below[number] = (uint8_t)n;
        if (n < descriptor->n_fields && descriptor->fields[n].id == number) {
            make_row(&rows[n], &descriptor->fields[n]);
            n++;
        }
    }
    assert(n == descriptor->n_fields); // protobuf-c sorts them by number
    plan->rows = rows;
    known.n_rows += n;
}

static void show_plan(const struct pack_plan *plan) {
    size_t slot = pack_plan_slot(plan->descriptor);
    while (atomic_load_explicit(&pack_plan_slots[slot], memory_order_relaxed) != NULL) {
        slot = pack_plan_slot_behind(slot);
    }
    atomic_store_explicit(&pack_plan_slots[slot], plan, memory_order_release);
}

// With all that it is made of, before any of them is shown.
const struct pack_plan *pack_plan_learn(const ProtobufCMessageDescriptor *descriptor) {
    pthread_mutex_lock(&known.lock);
    const struct pack_plan *plan = &pack_plans[index_of(descriptor)];
    for (unsigned i = known.n_shown; i < known.n_plans; i++) {
        make_plan(&pack_plans[i]);
    }
    while (known.n_shown < known.n_plans) {
        show_plan(&pack_plans[known.n_shown++]);
    }
    pthread_mutex_unlock(&known.lock);
    return plan;
}

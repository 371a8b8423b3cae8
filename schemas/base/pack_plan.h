// SPDX-License-Identifier: Apache-2.0
// What packing asks of a message, a row a field: rows of 12 bytes, by number, made of
// protobuf-c's descriptor the first time the message is packed, and kept. Most fields of most
// messages are empty, and that costs one look at the message. For pack.c alone.
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

// What our .proto files hold, generously; SLOTS, where a message is found, is a power of two.
enum { PACK_PLANS_MAX = 96, PACK_PLAN_SLOTS = 256, PACK_NUMBER_MAX = 127 };
enum { PACK_NUMBER_SHIFT = 3, PACK_TAG_BYTES_MAX = 2 };

enum pack_kind {
    PACK_KIND_UNSIGNED, // as it stands
    PACK_KIND_ZIGZAG,
    PACK_KIND_TRUE,
    PACK_KIND_NUMBER, // of another type
    PACK_KIND_TEXT,
    PACK_KIND_DATA,
    PACK_KIND_MESSAGE,
    PACK_KIND_ONEOF,
    PACK_KIND_COLUMN, // repeated numbers
    PACK_KIND_TEXTS,
    PACK_KIND_DATAS,
    PACK_KIND_MESSAGES,
};

// A field. Of a word of the message the upper half or all of it says whether it stands: its number,
// its pointer, its length or its elements' number, a oneof's chosen number.
struct pack_row {
    uint16_t word;
    uint16_t member;
    uint8_t tag[PACK_TAG_BYTES_MAX]; // its last tag_size bytes
    uint8_t tag_size;
    uint8_t kind;
    uint8_t type;
    uint8_t number;
    uint8_t shift;   // of the word: 32 or 0
    uint8_t message; // of a field of messages: index of their plan
};

// What is known of a message.
struct pack_plan {
    const ProtobufCMessageDescriptor *descriptor;
    const struct pack_row *rows;
    uint8_t below[PACK_NUMBER_MAX + 2]; // how many rows have a lower number
};

extern struct pack_plan pack_plans[PACK_PLANS_MAX];
extern _Atomic(const struct pack_plan *) pack_plan_slots[PACK_PLAN_SLOTS]; // open addressing

// Makes the plan of a message that is in no slot. Any thread.
const struct pack_plan *pack_plan_learn(const ProtobufCMessageDescriptor *descriptor);

// Descriptors are constants that lie near each other, further apart than 2 to this power.
static inline size_t pack_plan_slot(const ProtobufCMessageDescriptor *descriptor) {
    enum { DESCRIPTOR_SHIFT = 6 };
    _Static_assert(sizeof(*descriptor) >= 1U << DESCRIPTOR_SHIFT, "slots differ");
    return (uintptr_t)descriptor >> DESCRIPTOR_SHIFT & (PACK_PLAN_SLOTS - 1);
}

static inline size_t pack_plan_slot_behind(size_t slot) {
    return (slot + 1) & (PACK_PLAN_SLOTS - 1);
}

// Any thread, without a lock but for the first time.
static inline const struct pack_plan *pack_plan_of(const ProtobufCMessageDescriptor *descriptor) {
    for (size_t slot = pack_plan_slot(descriptor);; slot = pack_plan_slot_behind(slot)) {
        const struct pack_plan *plan =
            atomic_load_explicit(&pack_plan_slots[slot], memory_order_acquire);
        if (plan == NULL) {
            return pack_plan_learn(descriptor);
        }
        if (plan->descriptor == descriptor) {
            return plan;
        }
    }
}

// Where the rows of this number and of higher ones begin.
static inline const struct pack_row *pack_plan_from(const struct pack_plan *plan, uint64_t number) {
    return plan->rows + plan->below[number > PACK_NUMBER_MAX ? PACK_NUMBER_MAX + 1 : number];
}

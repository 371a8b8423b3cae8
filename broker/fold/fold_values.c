// SPDX-License-Identifier: Apache-2.0
// Values that an event does not hold as they are kept: fixed texts, times, what lines cost in all.
// Each as msgpack in the fold's arena. Money is never a float; a quantity may be one, and becomes
// millionths first.
#include <endian.h>
#include <string.h>

#include "broker/fold/fold_internal.h"
#include "schemas/base/money.h"
#include "schemas/limits.h"

enum { INTEGER_BYTES = 9, FIXED_TEXT_BYTES_MAX = 31 };

bool fold_pack_integer(struct fold_step *step, int64_t value, ProtobufCBinaryData *ret) {
    uint8_t *bytes = arena_alloc(step->fold->scratch, INTEGER_BYTES);
    if (bytes == NULL) {
        return false;
    }
    uint64_t be = htobe64((uint64_t)value);
    bytes[0] = 0xd3; // msgpack int 64
    memcpy(bytes + 1, &be, sizeof(be));
    *ret = (ProtobufCBinaryData){.data = bytes, .len = INTEGER_BYTES};
    return true;
}

bool fold_pack_text(struct fold_step *step, const char *text, ProtobufCBinaryData *ret) {
    size_t size = strlen(text);
    uint8_t *bytes = arena_alloc(step->fold->scratch, size + 2);
    if (bytes == NULL || size > NAME_BYTES_MAX) {
        return false;
    }
    if (size == 0) {
        bytes[0] = 0xc0; // nil
        *ret = (ProtobufCBinaryData){.data = bytes, .len = 1};
        return true;
    }
    size_t header = size <= FIXED_TEXT_BYTES_MAX ? 1 : 2;
    bytes[0] = header == 1 ? (uint8_t)(0xa0 | size) : 0xd9;
    if (header == 2) {
        bytes[1] = (uint8_t)size;
    }
    mempcpy(bytes + header, text, size);
    *ret = (ProtobufCBinaryData){.data = bytes, .len = header + size};
    return true;
}

// Of a line {quantity, price}; false where it is none that can be counted.
static bool line_total(const struct body_value *line, int64_t *ret) {
    struct body_value quantity, price;
    int64_t number, amount;
    if (!body_find(line->raw, line->raw_size, "quantity", &quantity) ||
        !body_find(line->raw, line->raw_size, "price", &price) || price.kind != BODY_TEXT ||
        money_parse(price.text, price.text_size, &amount) != 0) {
        return false;
    }
    if (quantity.kind == BODY_REAL) {
        if (!(quantity.real > -1e12 && quantity.real < 1e12)) {
            return false;
        }
        number = (int64_t)(quantity.real * (double)MONEY_UNIT + (quantity.real < 0 ? -0.5 : 0.5));
    } else if (quantity.kind != BODY_INTEGER ||
               __builtin_mul_overflow(quantity.integer, MONEY_UNIT, &number)) {
        return false;
    }
    return money_times(number, amount, ret) == 0;
}

bool fold_pack_total(struct fold_step *step, const char *name, ProtobufCBinaryData *ret) {
    struct body_value lines, line;
    int64_t sum = 0, one;
    size_t position = 0;
    if (!fold_data_find(step, name, &lines) || lines.kind != BODY_LIST) {
        return false;
    }
    while (body_next(&lines, &position, NULL, &line)) {
        if (line_total(&line, &one)) {
            money_add(&sum, one);
        }
    }
    return fold_pack_integer(step, sum, ret);
}

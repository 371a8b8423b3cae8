// SPDX-License-Identifier: Apache-2.0
// The first byte of a msgpack value tells its form; the forms are rows here. Nothing is believed
// before it was compared with the bytes left, so that a 5-byte header cannot ask for gigabytes.
#include "schemas/body_cursor.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "schemas/base/guards.h"

// How the bytes behind the first one are read.
enum form {
    FORM_BAD,
    FORM_NIL,
    FORM_FALSE,
    FORM_TRUE,
    FORM_UNSIGNED, // `width` bytes of value
    FORM_SIGNED,
    FORM_REAL,
    FORM_TEXT, // `width` bytes of length
    FORM_BINARY,
    FORM_LIST, // `width` bytes of count
    FORM_MAP,
    FORM_EXTENSION,
};

// First bytes from 0xc0 to 0xdf; the others carry their value or length in themselves.
static const struct {
    enum form form;
    uint8_t width;
} forms[32] = {
    [0x00] = {FORM_NIL, 0},       [0x01] = {FORM_BAD, 0},       [0x02] = {FORM_FALSE, 0},
    [0x03] = {FORM_TRUE, 0},      [0x04] = {FORM_BINARY, 1},    [0x05] = {FORM_BINARY, 2},
    [0x06] = {FORM_BINARY, 4},    [0x07] = {FORM_EXTENSION, 0}, [0x08] = {FORM_EXTENSION, 0},
    [0x09] = {FORM_EXTENSION, 0}, [0x0a] = {FORM_REAL, 4},      [0x0b] = {FORM_REAL, 8},
    [0x0c] = {FORM_UNSIGNED, 1},  [0x0d] = {FORM_UNSIGNED, 2},  [0x0e] = {FORM_UNSIGNED, 4},
    [0x0f] = {FORM_UNSIGNED, 8},  [0x10] = {FORM_SIGNED, 1},    [0x11] = {FORM_SIGNED, 2},
    [0x12] = {FORM_SIGNED, 4},    [0x13] = {FORM_SIGNED, 8},    [0x14] = {FORM_EXTENSION, 0},
    [0x15] = {FORM_EXTENSION, 0}, [0x16] = {FORM_EXTENSION, 0}, [0x17] = {FORM_EXTENSION, 0},
    [0x18] = {FORM_EXTENSION, 0}, [0x19] = {FORM_TEXT, 1},      [0x1a] = {FORM_TEXT, 2},
    [0x1b] = {FORM_TEXT, 4},      [0x1c] = {FORM_LIST, 2},      [0x1d] = {FORM_LIST, 4},
    [0x1e] = {FORM_MAP, 2},       [0x1f] = {FORM_MAP, 4},
};

static uint64_t big_endian(const uint8_t *at, size_t width) {
    uint64_t value = 0;
    for (size_t i = 0; i < width; i++) {
        value = value << 8 | at[i];
    }
    return value;
}

static const char *read_integer(enum form form, uint64_t bits, size_t width,
                                struct body_value *ret) {
    ret->kind = BODY_INTEGER;
    if (form == FORM_UNSIGNED && bits > INT64_MAX) {
        return "an integer beyond 63 bits";
    }
    assert(width > 0 && width <= sizeof(bits));
    unsigned unused = 64 - 8 * (unsigned)width;
    ret->integer = form == FORM_UNSIGNED ? (int64_t)bits : (int64_t)(bits << unused) >> unused;
    return NULL;
}

static const char *read_real(uint64_t bits, size_t width, struct body_value *ret) {
    ret->kind = BODY_REAL;
    if (width == sizeof(float)) {
        uint32_t half = (uint32_t)bits;
        float value;
        memcpy(&value, &half, sizeof(value));
        ret->real = (double)value;
    } else {
        memcpy(&ret->real, &bits, sizeof(ret->real));
    }
    return isfinite(ret->real) ? NULL : "a number that is not finite";
}

static const char *read_text(enum body_kind kind, const uint8_t *at, uint64_t length, size_t left,
                             struct body_value *ret, size_t *ret_size) {
    if (GUARD(body_length) && length > left) {
        return "a length beyond the end";
    }
    ret->kind = kind;
    ret->text = (const char *)at;
    ret->text_size = (size_t)length;
    *ret_size += (size_t)length;
    return NULL;
}

static const char *read_container(enum body_kind kind, uint64_t count, size_t left,
                                  struct body_value *ret) {
    if (GUARD(body_count) && count > left / (kind == BODY_MAP ? 2 : 1)) {
        return "a count beyond the end";
    }
    ret->kind = kind;
    ret->count = (size_t)count;
    return NULL;
}

const char *body_cursor_read(const uint8_t *data, size_t left, struct body_value *ret,
                             size_t *ret_size) {
    if (left == 0) {
        return "truncated";
    }
    uint8_t first = data[0];
    *ret = (struct body_value){.raw = data};
    *ret_size = 1;
    if (first < 0x80 || first >= 0xe0) {
        ret->kind = BODY_INTEGER;
        ret->integer = first < 0x80 ? first : (int64_t)first - 0x100;
        return NULL;
    }
    if (first < 0x90) {
        return read_container(BODY_MAP, first & 0x0f, left - 1, ret);
    }
    if (first < 0xa0) {
        return read_container(BODY_LIST, first & 0x0f, left - 1, ret);
    }
    if (first < 0xc0) {
        return read_text(BODY_TEXT, data + 1, first & 0x1f, left - 1, ret, ret_size);
    }
    size_t width = forms[first - 0xc0].width;
    enum form form = forms[first - 0xc0].form;
    if (left - 1 < width) {
        return "truncated";
    }
    uint64_t bits = big_endian(data + 1, width);
    *ret_size += width;
    size_t left_behind = left - *ret_size;
    switch (form) {
    case FORM_NIL:
        ret->kind = BODY_NIL;
        return NULL;
    case FORM_FALSE:
    case FORM_TRUE:
        ret->kind = BODY_BOOL;
        ret->integer = form == FORM_TRUE;
        return NULL;
    case FORM_UNSIGNED:
    case FORM_SIGNED:
        return read_integer(form, bits, width, ret);
    case FORM_REAL:
        return read_real(bits, width, ret);
    case FORM_TEXT:
    case FORM_BINARY:
        return read_text(form == FORM_TEXT ? BODY_TEXT : BODY_BINARY, data + *ret_size, bits,
                         left_behind, ret, ret_size);
    case FORM_LIST:
    case FORM_MAP:
        return read_container(form == FORM_LIST ? BODY_LIST : BODY_MAP, bits, left_behind, ret);
    case FORM_EXTENSION:
        return "an extension type";
    case FORM_BAD:
        break;
    }
    return "not a msgpack value";
}

size_t body_cursor_span(const uint8_t *data, size_t size) {
    size_t at = 0;
    // Values owed: each takes a byte at least, so this ends with the bytes.
    for (size_t owed = 1; owed > 0; owed--) {
        if (at == size) {
            return 0;
        }
        uint8_t first = data[at++];
        uint64_t length = 0;
        uint64_t members = 0;
        if (first >= 0x80 && first < 0xa0) {
            members = first < 0x90 ? 2 * (first & 0x0fU) : first & 0x0fU;
        } else if (first >= 0xa0 && first < 0xc0) {
            length = first & 0x1f;
        } else if (first >= 0xc0 && first < 0xe0) {
            enum form form = forms[first - 0xc0].form;
            size_t width = forms[first - 0xc0].width;
            if (form == FORM_BAD || form == FORM_EXTENSION || size - at < width) {
                return 0;
            }
            uint64_t bits = form < FORM_TEXT ? 0 : big_endian(data + at, width);
            length = form == FORM_TEXT || form == FORM_BINARY ? bits : 0;
            members = form == FORM_MAP ? 2 * bits : form == FORM_LIST ? bits : 0;
            at += width;
        }
        if (length > size - at || members > size - at) {
            return 0;
        }
        at += (size_t)length;
        owed += (size_t)members;
    }
    return at;
}

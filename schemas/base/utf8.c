// SPDX-License-Identifier: Apache-2.0
// The UTF-8 check: eight bytes at a time as long as they are printable ASCII, which most texts are
// throughout; the rows of table 3-7 of the Unicode standard for everything else.
#include "schemas/base/utf8.h"

#include <stdint.h>
#include <string.h>

// A lead byte's range, how many bytes follow, and the range of the first of them.
struct lead {
    uint8_t first, last, n_following, second_min, second_max;
};
static const struct lead leads[] = {
    {0xc2, 0xdf, 1, 0x80, 0xbf}, {0xe0, 0xe0, 2, 0xa0, 0xbf}, {0xe1, 0xec, 2, 0x80, 0xbf},
    {0xed, 0xed, 2, 0x80, 0x9f}, {0xee, 0xef, 2, 0x80, 0xbf}, {0xf0, 0xf0, 3, 0x90, 0xbf},
    {0xf1, 0xf3, 3, 0x80, 0xbf}, {0xf4, 0xf4, 3, 0x80, 0x8f},
};

// The length of the multi-byte character at `at`, 0 where it is malformed.
static size_t character(const uint8_t *at, size_t left) {
    for (size_t i = 0; i < sizeof(leads) / sizeof(leads[0]); i++) {
        const struct lead *lead = &leads[i];
        if (*at < lead->first || *at > lead->last) {
            continue;
        }
        if (left <= lead->n_following || at[1] < lead->second_min || at[1] > lead->second_max) {
            return 0;
        }
        for (size_t k = 2; k <= lead->n_following; k++) {
            if (at[k] < 0x80 || at[k] > 0xbf) {
                return 0;
            }
        }
        return 1U + lead->n_following;
    }
    return 0;
}

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

// Eight bytes at once, each from `first` to `last`, of which last is below 0x80: no subtraction
// borrows and no addition carries into a high bit.
static bool all_between(uint64_t word, uint8_t first, uint8_t last) {
    uint64_t high = word | (word - EACH_BYTE(first)) | (word + EACH_BYTE(0x7f - last));
    return (high & EACH_BYTE(0x80)) == 0;
}

static bool is_c1(const uint8_t *at, size_t length) {
    return length == 2 && at[0] == 0xc2 && at[1] < 0xa0;
}

static uint64_t word_at(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

static bool is_printable_word(uint64_t word) {
    return all_between(word, 0x20, 0x7e);
}

// What has no eight bytes, as eight: some of them twice, or with spaces.
static uint64_t short_word(const uint8_t *at, size_t size) {
    uint32_t head = EACH_BYTE(' ') & UINT32_MAX;
    uint32_t tail = head;
    if (size >= sizeof(head)) {
        memcpy(&head, at, sizeof(head));
        memcpy(&tail, at + size - sizeof(tail), sizeof(tail));
    } else if (size > 0) {
        tail = (uint32_t)at[0] << 16 | (uint32_t)at[size / 2] << 8 | at[size - 1] | ' ' << 24;
    }
    return (uint64_t)head << 32 | tail;
}

static bool is_printable_ascii(const uint8_t *at, size_t size) {
    if (size < sizeof(uint64_t)) {
        return is_printable_word(short_word(at, size));
    }
    const uint8_t *last = at + size - sizeof(uint64_t); // some of its bytes were seen before
    for (; at < last; at += sizeof(uint64_t)) {
        if (!is_printable_word(word_at(at))) {
            return false;
        }
    }
    return is_printable_word(word_at(last));
}

__attribute__((noinline)) static enum utf8_kind kind_of_any(const uint8_t *at, const uint8_t *end) {
    enum utf8_kind kind = UTF8_PRINTABLE;
    while (at < end) {
        size_t left = (size_t)(end - at);
        bool has_word = left >= sizeof(uint64_t);
        if (has_word && is_printable_word(word_at(at))) {
            at += sizeof(uint64_t);
        } else if (has_word && all_between(word_at(at), 0x01, 0x7f)) {
            kind = UTF8_WITH_CONTROLS;
            at += sizeof(uint64_t);
        } else {
            size_t length = *at < 0x80 ? *at != 0 : character(at, left);
            if (length == 0) {
                return UTF8_MALFORMED;
            }
            if (*at < 0x20 || *at == 0x7f || is_c1(at, length)) {
                kind = UTF8_WITH_CONTROLS;
            }
            at += length;
        }
    }
    return kind;
}

enum utf8_kind utf8_kind(const void *data, size_t size) {
    const uint8_t *at = data;
    return is_printable_ascii(at, size) ? UTF8_PRINTABLE : kind_of_any(at, at + size);
}

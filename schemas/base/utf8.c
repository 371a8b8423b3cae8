// SPDX-License-Identifier: Apache-2.0
// The UTF-8 check: eight bytes at a time as long as they are ASCII, the rows of table 3-7 of the
// Unicode standard for everything else.
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

// What has no eight bytes, as eight: some of them twice. Short texts are most of all.
static bool is_short_and_between(const uint8_t *at, size_t size, uint8_t first, uint8_t last) {
    uint32_t head, tail;
    if (size < sizeof(head) || size > 2 * sizeof(head)) {
        return false;
    }
    memcpy(&head, at, sizeof(head));
    memcpy(&tail, at + size - sizeof(tail), sizeof(tail));
    return all_between((uint64_t)head << 32 | tail, first, last);
}

static bool check(const uint8_t *at, size_t size, uint8_t first, uint8_t last) {
    const uint8_t *end = at + size;
    while (at < end) {
        if (is_short_and_between(at, (size_t)(end - at), first, last)) {
            return true;
        }
        uint64_t word;
        if ((size_t)(end - at) >= sizeof(word)) {
            memcpy(&word, at, sizeof(word));
            if (all_between(word, first, last)) {
                at += sizeof(word);
                continue;
            }
        }
        size_t length =
            *at < 0x80 ? *at >= first && *at <= last : character(at, (size_t)(end - at));
        if (length == 0 || (last < 0x7f && is_c1(at, length))) {
            return false;
        }
        at += length;
    }
    return true;
}

bool utf8_check(const void *data, size_t size) {
    return check(data, size, 0x01, 0x7f);
}

bool utf8_check_printable(const void *data, size_t size) {
    return check(data, size, 0x20, 0x7e);
}

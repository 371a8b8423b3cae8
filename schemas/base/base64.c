// SPDX-License-Identifier: Apache-2.0
// Base64, strict when reading: padding must be there, and the bits beyond the last byte must be 0,
// so that a value has one spelling and survives a round trip byte for byte.
#include "schemas/base/base64.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const void *data, size_t size) {
    const uint8_t *at = data;
    if (size > SIZE_MAX / 2) {
        return NULL;
    }
    char *text = malloc((size + 2) / 3 * 4 + 1);
    if (text == NULL) {
        return NULL;
    }
    char *out = text;
    for (size_t i = 0; i < size; i += 3) {
        size_t n = size - i < 3 ? size - i : 3;
        uint32_t bits = (uint32_t)at[i] << 16;
        bits |= n > 1 ? (uint32_t)at[i + 1] << 8 : 0;
        bits |= n > 2 ? (uint32_t)at[i + 2] : 0;
        *out++ = alphabet[bits >> 18];
        *out++ = alphabet[bits >> 12 & 63];
        *out++ = n > 1 ? alphabet[bits >> 6 & 63] : '=';
        *out++ = n > 2 ? alphabet[bits & 63] : '=';
    }
    *out = '\0';
    return text;
}

static int digit(char symbol) {
    const char *found = symbol == '\0' ? NULL : strchr(alphabet, symbol);
    return found == NULL ? -1 : (int)(found - alphabet);
}

// Four symbols of which the last n_padding are '='; -1 where they are malformed.
static int32_t quantum(const char *text, size_t n_padding) {
    int32_t bits = 0;
    for (size_t i = 0; i < 4; i++) {
        int value = i < 4 - n_padding ? digit(text[i]) : 0;
        if (value < 0) {
            return -1;
        }
        bits = bits << 6 | value;
    }
    int32_t beyond = n_padding == 0 ? 0 : n_padding == 1 ? 0xff : 0xffff;
    return (bits & beyond) == 0 ? bits : -1;
}

int base64_decode(const char *text, size_t length, uint8_t **ret, size_t *ret_size) {
    if (length % 4 != 0) {
        return -EINVAL;
    }
    size_t n_padding = 0;
    while (n_padding < 2 && n_padding < length && text[length - 1 - n_padding] == '=') {
        n_padding++;
    }
    uint8_t *bytes = malloc(length / 4 * 3 + 1);
    if (bytes == NULL) {
        return -ENOMEM;
    }
    size_t size = 0;
    for (size_t i = 0; i < length; i += 4) {
        size_t padding_here = i + 4 == length ? n_padding : 0;
        int32_t bits = quantum(text + i, padding_here);
        if (bits < 0) {
            free(bytes);
            return -EINVAL;
        }
        for (size_t k = 0; k < 3 - padding_here; k++) {
            bytes[size++] = (uint8_t)(bits >> (16 - 8 * k));
        }
    }
    *ret = bytes;
    *ret_size = size;
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
#include "connectors/dialect/http.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "schemas/base/base64.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"

enum { INFLATE_BYTES_FIRST = 64 << 10, WINDOW_GZIP = 15 + 16, WINDOW_ZLIB = 15 };

// ---- credentials

static int take_basic(const char *text, size_t length, char *ret, size_t ret_size) {
    _cleanup_free_ uint8_t *bytes = NULL;
    size_t size;
    if (base64_decode(text, length, &bytes, &size) != 0) {
        return -EINVAL;
    }
    const uint8_t *colon = memchr(bytes, ':', size);
    if (colon == NULL || memchr(bytes, '\0', size) != NULL) {
        return -EINVAL;
    }
    size_t user = (size_t)(colon - bytes);
    if (user >= ret_size) {
        return -E2BIG;
    }
    memcpy(ret, bytes, user);
    ret[user] = '\0';
    return 0;
}

static int take_bearer(const char *text, size_t length, char *ret, size_t ret_size) {
    if (length == 0 || memchr(text, ' ', length) != NULL) {
        return -EINVAL;
    }
    if (length >= ret_size) {
        return -E2BIG;
    }
    memcpy(ret, text, length);
    ret[length] = '\0';
    return 0;
}

int http_credential(const char *authorization, char *ret, size_t ret_size) {
    static const struct {
        const char *scheme;
        int (*take)(const char *text, size_t length, char *ret, size_t ret_size);
    } schemes[] = {{"Basic", take_basic}, {"Bearer", take_bearer}};
    size_t length = strcspn(authorization, " ");
    const char *text = authorization + length;
    text += strspn(text, " ");
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (strlen(schemes[i].scheme) == length &&
            strncasecmp(schemes[i].scheme, authorization, length) == 0) {
            return schemes[i].take(text, strlen(text), ret, ret_size);
        }
    }
    return -EINVAL;
}

bool http_secret_equal(const char *a, const char *b) {
    size_t n_a = strlen(a), n_b = strlen(b);
    size_t different = n_a ^ n_b;
    for (size_t i = 0; i < n_a; i++) {
        different |= (unsigned char)a[i] ^ (unsigned char)(n_b == 0 ? 0 : b[i % n_b]);
    }
    return different == 0;
}

// ---- content codings

int http_coding_parse(const char *content_encoding, enum http_coding *ret) {
    static const struct {
        const char *name;
        enum http_coding coding;
    } names[] = {{"identity", HTTP_IDENTITY},
                 {"gzip", HTTP_GZIP},
                 {"x-gzip", HTTP_GZIP},
                 {"deflate", HTTP_DEFLATE}};
    if (content_encoding == NULL || content_encoding[0] == '\0') {
        *ret = HTTP_IDENTITY;
        return 0;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcasecmp(content_encoding, names[i].name) == 0) {
            *ret = names[i].coding;
            return 0;
        }
    }
    return -EINVAL;
}

// Grows the output as the stream asks for it, up to the bound.
static int inflate_all(z_stream *stream, size_t bytes_max, char **out, size_t *ret_size) {
    size_t capacity = 0;
    for (;;) {
        if (stream->total_out == capacity) {
            if (GUARD(gzip_cap) && capacity > bytes_max) {
                return -E2BIG;
            }
            // One byte beyond the bound tells "exactly full" from "more to come".
            size_t grown = capacity == 0 ? INFLATE_BYTES_FIRST : 2 * capacity;
            grown = GUARD(gzip_cap) && grown > bytes_max + 1 ? bytes_max + 1 : grown;
            char *more = realloc(*out, grown + 1);
            if (more == NULL) {
                return -ENOMEM;
            }
            *out = more;
            capacity = grown;
        }
        stream->next_out = (Bytef *)*out + stream->total_out;
        stream->avail_out = (uInt)(capacity - stream->total_out);
        int r = inflate(stream, Z_NO_FLUSH);
        if (r == Z_STREAM_END) {
            *ret_size = stream->total_out;
            return GUARD(gzip_cap) && stream->total_out > bytes_max ? -E2BIG
                   : stream->avail_in > 0                           ? -EBADMSG
                                                                    : 0;
        }
        if (r == Z_MEM_ERROR) {
            return -ENOMEM;
        }
        if (r != Z_OK || (stream->avail_in == 0 && stream->avail_out > 0)) {
            return -EBADMSG;
        }
    }
}

int http_inflate(enum http_coding coding, const void *data, size_t size, size_t bytes_max,
                 char **ret, size_t *ret_size) {
    z_stream stream = {.avail_in = (uInt)size};
    char *out = NULL;
    if (size > UINT32_MAX || bytes_max >= UINT32_MAX) {
        return -E2BIG;
    }
    _cleanup_free_ Bytef *in = malloc(size + 1); // zlib's input is not const
    if (in == NULL ||
        inflateInit2(&stream, coding == HTTP_GZIP ? WINDOW_GZIP : WINDOW_ZLIB) != Z_OK) {
        return -ENOMEM;
    }
    memcpy(in, data, size);
    stream.next_in = in;
    int r = inflate_all(&stream, bytes_max, &out, ret_size);
    inflateEnd(&stream);
    if (r != 0) {
        free(out);
        return r;
    }
    *ret = out;
    return 0;
}

// ---- headers

bool http_type_is(const char *content_type, const char *media_type) {
    size_t length = strlen(media_type);
    if (content_type == NULL || strncasecmp(content_type, media_type, length) != 0) {
        return false;
    }
    return content_type[length] == '\0' || strchr("; \t", content_type[length]) != NULL;
}

static int hex_value(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

int http_percent_decode(char *text) {
    char *to = text;
    for (const char *at = text; *at != '\0'; at++) {
        if (*at != '%') {
            *to++ = *at;
            continue;
        }
        int high = hex_value(at[1]);
        int low = high < 0 ? -1 : hex_value(at[2]);
        if (low < 0 || (GUARD(percent_nul) && high == 0 && low == 0)) {
            return -EINVAL;
        }
        *to++ = (char)(high * 16 + low);
        at += 2;
    }
    *to = '\0';
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
// Text as bodies and headers have it: what comes in is nearly anything, what goes out is valid
// UTF-8 without control characters.
#include <string.h>

#include "connectors/dialect/mail_private.h"

static bool is_control(gunichar c) {
    return c < 0x20 || (c >= 0x7f && c < 0xa0);
}

void mail_text_clean(GString *text) {
    GString *clean = g_string_sized_new(text->len);
    const char *at = text->str, *end = text->str + text->len;
    while (at < end) {
        gunichar c = g_utf8_get_char_validated(at, end - at);
        if (c >= (gunichar)-2) { // damaged, or cut short at the end, or a NUL
            at++;
            continue;
        }
        const char *next = at + g_utf8_skip[(unsigned char)*at];
        if (c == '\r') {
            if (next == end || *next != '\n') {
                g_string_append_c(clean, '\n');
            }
        } else if (c == '\n' || c == '\t' || (!is_control(c) && c != 0xfeff)) {
            g_string_append_len(clean, at, next - at);
        }
        at = next;
    }
    g_string_truncate(text, 0);
    g_string_append_len(text, clean->str, (gssize)clean->len);
    g_string_free(clean, TRUE);
}

bool mail_text_cut(GString *text, size_t bytes_max) {
    if (text->len <= bytes_max) {
        return false;
    }
    size_t end = bytes_max;
    while (end > 0 && ((unsigned char)text->str[end] & 0xc0) == 0x80) {
        end--;
    }
    g_string_truncate(text, end);
    return true;
}

char *mail_text_line(struct arena *arena, const char *text, size_t bytes_max) {
    _cleanup_gstring_ GString *line = g_string_new(text);
    for (size_t i = 0; i < line->len; i++) {
        line->str[i] = strchr("\r\n\t", line->str[i]) != NULL ? ' ' : line->str[i];
    }
    mail_text_clean(line);
    mail_text_cut(line, bytes_max);
    return arena_strdup(arena, g_strstrip(line->str));
}

// ---- format=flowed

static size_t quote_depth(const char *line, size_t size) {
    size_t n = 0;
    while (n < size && line[n] == '>') {
        n++;
    }
    return n;
}

static bool is_signature(const char *line, size_t size) {
    return size == 3 && memcmp(line, "-- ", 3) == 0;
}

static void begin_line(GString *out, size_t depth, const char *line, size_t size) {
    for (size_t i = 0; i < depth; i++) {
        g_string_append_c(out, '>');
    }
    if (depth > 0 && size > 0) {
        g_string_append_c(out, ' ');
    }
    g_string_append_len(out, line, (gssize)size);
}

// RFC 3676, 4: a line that ends in a blank goes on in the next one of the same depth; a leading
// blank was stuffed.
void mail_text_unflow(GString *text, bool delsp) {
    _cleanup_gstring_ GString *out = g_string_sized_new(text->len);
    const char *end = text->str + text->len;
    bool flows = false;
    size_t last_depth = 0;
    for (const char *at = text->str; at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t size = (size_t)((stop != NULL ? stop : end) - at);
        size_t depth = quote_depth(at, size);
        const char *line = at + depth;
        size_t length = size - depth;
        if (length > 0 && line[0] == ' ') {
            line++;
            length--;
        }
        bool ends = is_signature(line, length);
        if (flows && depth == last_depth && !ends) {
            g_string_append_len(out, line, (gssize)length);
        } else {
            if (at != text->str) {
                g_string_append_c(out, '\n');
            }
            begin_line(out, depth, line, length);
        }
        flows = !ends && length > 0 && line[length - 1] == ' ';
        if (flows && delsp) {
            g_string_truncate(out, out->len - 1);
        }
        last_depth = depth;
        at += size + 1;
    }
    if (text->len > 0 && text->str[text->len - 1] == '\n') {
        g_string_append_c(out, '\n');
    }
    g_string_truncate(text, 0);
    g_string_append_len(text, out->str, (gssize)out->len);
}

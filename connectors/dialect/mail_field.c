// SPDX-License-Identifier: Apache-2.0
// Header fields out of a block of text that is no message of its own: a delivery status, the
// headers of a message that came back.
#include <string.h>
#include <strings.h>

#include "connectors/dialect/mail_private.h"

// The end of the line at `at`, without its line break; *ret_next: where the next one begins.
static const char *line_end(const char *at, const char *end, const char **ret_next) {
    const char *stop = memchr(at, '\n', (size_t)(end - at));
    *ret_next = stop == NULL ? end : stop + 1;
    stop = stop == NULL ? end : stop;
    return stop > at && stop[-1] == '\r' ? stop - 1 : stop;
}

char *mail_field(const char *block, size_t size, const char *name) {
    const char *end = block + size, *next;
    size_t n = strlen(name);
    GString *value = NULL;
    for (const char *at = block; at < end; at = next) {
        const char *stop = line_end(at, end, &next);
        bool is_continued = at < stop && (*at == ' ' || *at == '\t');
        if (value != NULL && !is_continued) {
            break;
        }
        if (at == stop) {
            break;
        }
        if (value != NULL) {
            g_string_append_len(value, at, stop - at);
        } else if ((size_t)(stop - at) > n && strncasecmp(at, name, n) == 0 && at[n] == ':') {
            value = g_string_new(NULL);
            g_string_append_len(value, at + n + 1, stop - at - (gssize)n - 1);
        }
    }
    return value == NULL ? NULL : g_strstrip(g_string_free(value, FALSE));
}

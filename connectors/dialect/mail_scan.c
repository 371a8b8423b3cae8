// SPDX-License-Identifier: Apache-2.0
// Before anything is parsed: a part costs a kilobyte, a header some hundred bytes, an address the
// same, and all three can be had for two to five bytes of message. So the lines that could begin
// one are counted; which of them do is for the parser to say. It nests no deeper than 1024 by
// itself.
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "connectors/dialect/mail_private.h"
#include "schemas/base/guards.h"

struct scan {
    size_t n_dash_lines, n_colon_lines, header_bytes;
    bool in_costly; // the line belongs to a header that is taken apart as soon as it is seen
};

// The length of a header's name at the beginning of a line, 0 where there is none (RFC 5322, 3.6.8;
// blanks before the colon are obsolete, and taken).
static size_t name_size(const char *line, size_t size) {
    size_t n = 0;
    while (n < size && line[n] > ' ' && line[n] < 0x7f && line[n] != ':') {
        n++;
    }
    size_t end = n;
    while (end < size && (line[end] == ' ' || line[end] == '\t')) {
        end++;
    }
    return end < size && line[end] == ':' ? n : 0;
}

static bool is_costly(const char *name, size_t size) {
    static const char *const names[] = {
        "from",      "sender",      "reply-to",   "to",           "cc",
        "bcc",       "resent-from", "resent-to",  "resent-cc",    "resent-bcc",
        "subject",   "date",        "message-id", "content-type", "content-disposition",
        "content-id"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strlen(names[i]) == size && strncasecmp(names[i], name, size) == 0) {
            return true;
        }
    }
    return false;
}

static const char *scan_line(struct scan *scan, const char *line, size_t size) {
    bool is_continued = size > 0 && (line[0] == ' ' || line[0] == '\t');
    size_t n = is_continued ? 0 : name_size(line, size);
    scan->n_dash_lines += size >= 2 && line[0] == '-' && line[1] == '-';
    scan->n_colon_lines += n > 0;
    scan->in_costly = is_continued ? scan->in_costly : is_costly(line, n);
    scan->header_bytes += scan->in_costly ? size : 0;
    if (GUARD(mail_parts_cost) && scan->n_dash_lines > MAIL_DASH_LINES_MAX) {
        return "more lines that could begin a part than MAIL_DASH_LINES_MAX";
    }
    if (GUARD(mail_headers_cost) && scan->n_colon_lines > MAIL_COLON_LINES_MAX) {
        return "more lines that could be a header than MAIL_COLON_LINES_MAX";
    }
    if (GUARD(mail_addresses_cost) && scan->header_bytes > MAIL_HEADER_BYTES_MAX) {
        return "more in its headers than MAIL_HEADER_BYTES_MAX";
    }
    return NULL;
}

int mail_scan(const char *bytes, size_t size, const char **ret_why) {
    struct scan scan = {0};
    if (size > MAIL_BYTES_MAX) {
        *ret_why = "larger than MAIL_BYTES_MAX";
        return -E2BIG;
    }
    for (const char *at = bytes, *end = bytes + size; at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((stop != NULL ? stop : end) - at);
        const char *why = scan_line(&scan, at, length);
        if (why != NULL) {
            *ret_why = why;
            return -E2BIG;
        }
        at += length + 1;
    }
    return 0;
}

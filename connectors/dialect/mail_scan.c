// SPDX-License-Identifier: Apache-2.0
// Before anything is parsed: a part costs a kilobyte, a header some hundred bytes, an address the
// same, and all three can be had for two to five bytes of message. So the lines that could begin
// one are counted; which of them do is for the parser to say. GMime 3.2.13 nests no deeper than
// 1024 parts by itself, but goes one call deeper for each group in an address header, and once
// through all of it for each address that has no domain: what separates them is counted, too.
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "connectors/dialect/mail_private.h"
#include "schemas/base/guards.h"

enum cost { COST_NONE, COST_TEXT, COST_ADDRESSES };

struct scan {
    size_t n_dash_lines, n_colon_lines, header_bytes, n_marks;
    enum cost cost; // of the header that the line belongs to
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

// What is taken apart as soon as it is seen.
static enum cost cost_of(const char *name, size_t size) {
    static const struct {
        const char *name;
        enum cost cost;
    } rows[] = {
        {"from", COST_ADDRESSES},
        {"sender", COST_ADDRESSES},
        {"reply-to", COST_ADDRESSES},
        {"to", COST_ADDRESSES},
        {"cc", COST_ADDRESSES},
        {"bcc", COST_ADDRESSES},
        {"resent-from", COST_ADDRESSES},
        {"resent-sender", COST_ADDRESSES},
        {"resent-to", COST_ADDRESSES},
        {"resent-cc", COST_ADDRESSES},
        {"resent-bcc", COST_ADDRESSES},
        {"resent-reply-to", COST_ADDRESSES},
        {"return-path", COST_ADDRESSES},
        {"delivered-to", COST_ADDRESSES},
        {"x-original-to", COST_ADDRESSES},
        {"envelope-to", COST_ADDRESSES},
        {"subject", COST_TEXT},
        {"date", COST_TEXT},
        {"message-id", COST_TEXT},
        {"content-type", COST_TEXT},
        {"content-id", COST_TEXT},
        {"content-disposition", COST_TEXT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strlen(rows[i].name) == size && strncasecmp(rows[i].name, name, size) == 0) {
            return rows[i].cost;
        }
    }
    return COST_NONE;
}

static size_t count_marks(const char *line, size_t size) {
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        n += line[i] == ',' || line[i] == ';' || line[i] == ':';
    }
    return n;
}

static const char *scan_line(struct scan *scan, const char *line, size_t size) {
    bool is_continued = size > 0 && (line[0] == ' ' || line[0] == '\t');
    size_t n = is_continued ? 0 : name_size(line, size);
    scan->n_dash_lines += size >= 2 && line[0] == '-' && line[1] == '-';
    scan->n_colon_lines += n > 0;
    scan->cost = is_continued ? scan->cost : cost_of(line, n);
    scan->header_bytes += scan->cost != COST_NONE ? size : 0;
    scan->n_marks += scan->cost == COST_ADDRESSES ? count_marks(line + n, size - n) : 0;
    if (GUARD(mail_parts_cost) && scan->n_dash_lines > MAIL_DASH_LINES_MAX) {
        return "more lines that could begin a part than MAIL_DASH_LINES_MAX";
    }
    if (GUARD(mail_headers_cost) && scan->n_colon_lines > MAIL_COLON_LINES_MAX) {
        return "more lines that could be a header than MAIL_COLON_LINES_MAX";
    }
    if (GUARD(mail_addresses_cost) && scan->header_bytes > MAIL_HEADER_BYTES_MAX) {
        return "more in its headers than MAIL_HEADER_BYTES_MAX";
    }
    if (GUARD(mail_groups_cost) && scan->n_marks > MAIL_ADDRESS_MARKS_MAX) {
        return "more in its address headers than MAIL_ADDRESS_MARKS_MAX";
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

// SPDX-License-Identifier: Apache-2.0
// The classes of Tryton's failures, as a table, and its words out of the HTML that they come in.
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "connectors/dialect/tryton_reply.h"

// A status without words of ours tells by its page. What is not listed is TRYTON_AWAY: a proxy's,
// or no Tryton at all.
static const struct {
    long status;
    enum tryton_class class;
    const char *words;
} statuses[] = {
    {400, TRYTON_REJECT, NULL}, // a rule of the ERP (UserError), also: may not access
    {401, TRYTON_LOGIN, "the ERP refuses the session"},
    {403, TRYTON_REJECT, "the ERP does not offer this method"},
    {404, TRYTON_AWAY, "no such database there, or it cannot reach its own"},
    {409, TRYTON_REJECT, NULL}, // a warning (UserWarning) that a person must accept
    {413, TRYTON_REJECT, "larger than the ERP takes"},
    {423, TRYTON_STALE, NULL},
    {429, TRYTON_AWAY, "the ERP locks this user out for a while: too many failed logins"},
    {500, TRYTON_RETRY, NULL}, // from malformed JSON to a conflict in the database
};

// 500 in these words: the ERP lost its database. libpq's, and psycopg2's.
static const char *const database_away[] = {
    "server closed the connection", "connection to server",
    "connection already closed",    "could not connect",
    "terminating connection",       "the database system is",
    "cursor already closed",        "SSL connection has been closed",
};

static const struct {
    const char *entity;
    char character;
} entities[] = {{"&amp;", '&'},  {"&lt;", '<'},   {"&gt;", '>'},   {"&#34;", '"'},
                {"&quot;", '"'}, {"&#39;", '\''}, {"&#x27;", '\''}};

// Decodes one character at *from; how many bytes it took.
static size_t decode(const char *from, size_t size, char *ret) {
    for (size_t i = 0; i < sizeof(entities) / sizeof(entities[0]); i++) {
        size_t length = strlen(entities[i].entity);
        if (length <= size && memcmp(from, entities[i].entity, length) == 0) {
            *ret = entities[i].character;
            return length;
        }
    }
    *ret = (unsigned char)*from < 0x20 ? ' ' : *from;
    return 1;
}

// Cuts a character that the buffer's end left incomplete.
static void cut_utf8(char *words, size_t size) {
    size_t lead = size;
    while (lead > 0 && size - lead < 3 && ((unsigned char)words[lead - 1] & 0xc0) == 0x80) {
        lead--;
    }
    if (lead > 0 && ((unsigned char)words[lead - 1] & 0xc0) == 0xc0) {
        unsigned char first = (unsigned char)words[lead - 1];
        size_t wanted = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
        if (size - (lead - 1) < wanted) {
            words[lead - 1] = '\0';
        }
    }
}

// What stands between the last <p> and its end; nothing there, or nothing to be seen: the status.
static void read_words(long status, const char *bytes, size_t size, char *words) {
    const char *begin = NULL, *end = bytes + size;
    for (const char *at = bytes; at != NULL && (size_t)(end - at) >= 3;) {
        at = memmem(at, (size_t)(end - at), "<p>", 3);
        if (at != NULL) {
            at += 3;
            begin = at;
        }
    }
    const char *stop = begin == NULL ? NULL : memmem(begin, (size_t)(end - begin), "</p>", 4);
    size_t n = 0;
    while (stop != NULL && begin < stop && n < TRYTON_WORDS_BYTES - 1) {
        begin += decode(begin, (size_t)(stop - begin), &words[n]);
        n++;
    }
    while (n > 0 && (words[n - 1] == ' ' || words[n - 1] == '-')) { // "words - ": no description
        n--;
    }
    words[n] = '\0';
    cut_utf8(words, n);
    if (words[0] == '\0') {
        snprintf(words, TRYTON_WORDS_BYTES, "the ERP answers %ld without words", status);
    }
}

static bool is_database_away(const char *words) {
    size_t i = 0;
    while (i < sizeof(database_away) / sizeof(database_away[0]) &&
           strstr(words, database_away[i]) == NULL) {
        i++;
    }
    return i < sizeof(database_away) / sizeof(database_away[0]);
}

void tryton_reply_fail(struct tryton_reply *reply, enum tryton_class class, const char *format,
                       ...) {
    va_list ap;
    *reply = (struct tryton_reply){.class = class};
    va_start(ap, format);
    vsnprintf(reply->words, sizeof(reply->words), format, ap);
    va_end(ap);
}

static void read_result(const char *bytes, size_t size, struct tryton_reply *ret) {
    json_t *result = json_loadb(bytes, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (result == NULL) {
        tryton_reply_fail(ret, TRYTON_AWAY, "the answer is no JSON: is this Tryton's address?");
        return;
    }
    *ret = (struct tryton_reply){.class = TRYTON_DONE, .result = result};
}

void tryton_reply_read(long status, const char *bytes, size_t size, struct tryton_reply *ret) {
    if (status == 200) {
        read_result(bytes, size, ret);
        return;
    }
    size_t i = 0;
    while (i < sizeof(statuses) / sizeof(statuses[0]) && statuses[i].status != status) {
        i++;
    }
    if (i == sizeof(statuses) / sizeof(statuses[0])) {
        tryton_reply_fail(ret, TRYTON_AWAY, "the ERP answers with status %ld", status);
        return;
    }
    *ret = (struct tryton_reply){.class = statuses[i].class};
    if (statuses[i].words != NULL) {
        snprintf(ret->words, sizeof(ret->words), "%s", statuses[i].words);
    } else {
        read_words(status, bytes, size, ret->words);
    }
    if (status == 500 && is_database_away(ret->words)) {
        ret->class = TRYTON_AWAY;
    }
}

void tryton_words_hide(char words[static TRYTON_WORDS_BYTES], const char *text) {
    enum { SHORTEST = 3 }; // shorter ones are in every word
    size_t size = text == NULL ? 0 : strlen(text);
    char *at = size < SHORTEST ? NULL : strstr(words, text);
    while (at != NULL) {
        memcpy(at, "...", SHORTEST);
        memmove(at + SHORTEST, at + size, strlen(at + size) + 1);
        at = strstr(at + SHORTEST, text);
    }
}

json_t *tryton_decimal(const char *text) {
    return json_pack("{s:s, s:s}", "__class__", "Decimal", "decimal", text);
}

const char *tryton_decimal_text(const json_t *value) {
    return json_string_value(json_object_get(value, "decimal"));
}

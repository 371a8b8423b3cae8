// SPDX-License-Identifier: Apache-2.0
// Encoded words (RFC 2047), both ways, over GLib's base64. GMime 3.2.13 loses what follows a padded
// base64 word in the same run (`=?utf-8?B?YQ==?= =?utf-8?B?Yg==?=` becomes "a"), which is how most
// Japanese subjects are written; so runs are read here, also those in headers that GMime takes
// apart.
#include <string.h>
#include <strings.h>

#include "connectors/dialect/mail_private.h"

enum {
    CHARSET_BYTES_MAX = 40,
    HEAD_BYTES_MAX = 80,    // with a language (RFC 2231, 5)
    WORD_SOURCE_BYTES = 45, // of UTF-8 in one word: it has 72 of 75 characters then
    WORD_BARE_MAX = 70,     // a longer one is encoded, so that it can be folded
};

struct word {
    char charset[CHARSET_BYTES_MAX + 1];
    char encoding; // 'b' or 'q'
    const char *text;
    size_t size;
    const char *end;
};

// ---- reading

// =?charset*language?B?text?=, leniently: blanks in the text are taken as they are.
static bool read_word(const char *at, struct word *ret) {
    size_t n = strcspn(at + 2, "?*");
    const char *mark = strchr(at + 2 + n, '?');
    if (n == 0 || n > CHARSET_BYTES_MAX || mark == NULL || mark - at > HEAD_BYTES_MAX ||
        mark[1] == '\0' || mark[2] != '?') {
        return false;
    }
    memcpy(ret->charset, at + 2, n);
    ret->charset[n] = '\0';
    ret->encoding = g_ascii_tolower(mark[1]);
    ret->text = mark + 3;
    const char *end = strstr(ret->text, "?=");
    if (end == NULL || (ret->encoding != 'b' && ret->encoding != 'q')) {
        return false;
    }
    ret->size = (size_t)(end - ret->text);
    ret->end = end + 2;
    return true;
}

static void decode_base64(GString *out, const struct word *word) {
    gint state = 0;
    guint save = 0;
    size_t size = word->size;
    while (size > 0 && word->text[size - 1] == '=') {
        size--;
    }
    _cleanup_gstring_ GString *text = g_string_new_len(word->text, (gssize)size);
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        n += g_ascii_isalnum(text->str[i]) || text->str[i] == '+' || text->str[i] == '/';
    }
    g_string_append(text, n % 4 == 2 ? "==" : n % 4 == 3 ? "=" : "");
    _cleanup_gfree_ guchar *bytes = g_malloc(text->len + 4);
    gsize got = g_base64_decode_step(text->str, text->len, bytes, &state, &save);
    g_string_append_len(out, (const char *)bytes, (gssize)got);
}

static void decode_quoted(GString *out, const struct word *word) {
    for (size_t i = 0; i < word->size; i++) {
        char c = word->text[i];
        int high = i + 2 < word->size ? g_ascii_xdigit_value(word->text[i + 1]) : -1;
        int low = high >= 0 ? g_ascii_xdigit_value(word->text[i + 2]) : -1;
        if (c == '=' && low >= 0) {
            g_string_append_c(out, (char)(high * 16 + low));
            i += 2;
        } else {
            g_string_append_c(out, c == '_' ? ' ' : c);
        }
    }
}

// A run of words of one charset: its bytes are joined before they are converted, since many
// programs cut in the middle of a character.
struct run {
    char charset[CHARSET_BYTES_MAX + 1];
    GString *bytes;
};

static void end_run(GString *out, struct run *run) {
    if (run->bytes->len > 0) {
        mail_text_decode(out, run->charset, run->bytes->str, run->bytes->len);
        g_string_truncate(run->bytes, 0);
    }
}

static void add_word(GString *out, struct run *run, const struct word *word) {
    if (strcasecmp(run->charset, word->charset) != 0) {
        end_run(out, run);
        memcpy(run->charset, word->charset, sizeof(run->charset));
    }
    if (word->encoding == 'b') {
        decode_base64(run->bytes, word);
    } else {
        decode_quoted(run->bytes, word);
    }
}

// Reads the run of words at `at`, which begins one; where it ends.
static const char *read_run(GString *out, const char *at) {
    _cleanup_gstring_ GString *bytes = g_string_new(NULL);
    struct run run = {.bytes = bytes};
    struct word word;
    const char *end = at;
    while (at[0] == '=' && at[1] == '?' && read_word(at, &word)) {
        add_word(out, &run, &word);
        end = word.end;
        at = end + strspn(end, " \t\r\n");
    }
    end_run(out, &run);
    return end;
}

// The beginning of the next run; NULL: there is none. tries bounds what looks like one and is not.
static const char *next_run(const char *at, size_t *tries) {
    struct word word;
    for (at = strstr(at, "=?"); at != NULL && *tries > 0; at = strstr(at + 2, "=?")) {
        if (read_word(at, &word)) {
            return at;
        }
        (*tries)--;
    }
    return NULL;
}

void mail_words_decode(GString *out, const char *value) {
    size_t tries = MAIL_WORDS_MAX;
    for (const char *at = value; *at != '\0';) {
        const char *run = next_run(at, &tries);
        size_t bare = run == NULL ? strlen(at) : (size_t)(run - at);
        mail_text_decode(out, NULL, at, bare);
        at = run == NULL ? at + bare : read_run(out, run);
    }
}

static void append_quoted_word(GString *out, const GString *text) {
    g_string_append(out, "=?utf-8?Q?");
    for (size_t i = 0; i < text->len; i++) {
        unsigned char c = (unsigned char)text->str[i];
        if (g_ascii_isalnum(c)) {
            g_string_append_c(out, (char)c);
        } else {
            g_string_append_printf(out, "=%02X", c);
        }
    }
    g_string_append(out, "?=");
}

char *mail_words_join(const char *value) {
    GString *out = g_string_new(NULL);
    size_t tries = MAIL_WORDS_MAX;
    for (const char *at = value; *at != '\0';) {
        const char *run = next_run(at, &tries);
        size_t bare = run == NULL ? strlen(at) : (size_t)(run - at);
        g_string_append_len(out, at, (gssize)bare);
        at += bare;
        if (run != NULL) {
            _cleanup_gstring_ GString *text = g_string_new(NULL);
            at = read_run(text, run);
            append_quoted_word(out, text);
        }
    }
    return g_string_free(out, FALSE);
}

// ---- writing

bool mail_words_needed(const char *text) {
    size_t bare = 0;
    for (const char *at = text; *at != '\0'; at++) {
        bare = *at == ' ' ? 0 : bare + 1;
        if ((unsigned char)*at >= 0x80 || bare > WORD_BARE_MAX) {
            return true;
        }
    }
    return strstr(text, "=?") != NULL;
}

void mail_words_encode(GString *out, const char *text) {
    for (const char *at = text; *at != '\0';) {
        size_t n = strnlen(at, WORD_SOURCE_BYTES);
        while (at[n] != '\0' && ((unsigned char)at[n] & 0xc0) == 0x80) {
            n--;
        }
        _cleanup_gfree_ char *code = g_base64_encode((const guchar *)at, n);
        g_string_append_printf(out, "%s=?UTF-8?B?%s?=", at == text ? "" : "\n ", code);
        at += n;
    }
}

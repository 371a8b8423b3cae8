// SPDX-License-Identifier: Apache-2.0
// What the files of the mail dialect share: one parse under way, and its steps. GLib ends the
// process where memory is short, so only what is taken from the arena can fail for that.
#pragma once

#include <gmime/gmime.h>

#include "connectors/dialect/mail.h"
#include "schemas/base/arena.h"
#include "schemas/base/cleanup.h"

enum {
    MAIL_WORDS_MAX = 4096,             // beginnings of encoded words in a header that are none
    MAIL_VALUE_BYTES_MAX = 2048,       // of a field in a returned message, or of its status
    MAIL_STATUS_BYTES_MAX = 256 << 10, // of a delivery status, or of a returned message's headers
    MAIL_ARENA_BYTES_MAX = 64 << 20,   // everything but texts and attachments' bytes
};

struct mail_parsing {
    const struct mail_conf *conf;
    struct arena *arena;
    struct mail *mail; // what it fills in
    GMimeParserOptions *options;
    GMimeMessage *message;
    GString *text;       // of the text parts so far
    GArray *attachments; // struct mail_attachment
    GString *status;     // of the first message/delivery-status; NULL: none
    GString *returned;   // headers of the first message in it; NULL: none
    const char *why;
};

// A struct mail is the first member of one of these.
struct mail_owned {
    struct mail mail;
    struct arena *arena;
    char *text;
    GArray *attachments;
};

static inline void cleanup_gfree(void *pointer) {
    g_free(*(void **)pointer);
}
#define _cleanup_gfree_ _cleanup_(cleanup_gfree)
static inline void cleanup_gstring(GString **string) {
    if (*string != NULL) {
        g_string_free(*string, TRUE);
    }
}
#define _cleanup_gstring_ _cleanup_(cleanup_gstring)
static inline void cleanup_gobject(void *object) {
    if (*(void **)object != NULL) {
        g_object_unref(*(void **)object);
    }
}
#define _cleanup_gobject_ _cleanup_(cleanup_gobject)

void mail_init(void); // GMime; once, from whatever thread

// ---- steps; each 0 or a negative errno of mail_parse

// What would cost too much to parse, seen without parsing: -E2BIG.
int mail_scan(const char *bytes, size_t size, const char **ret_why);
int mail_read_headers(struct mail_parsing *parsing);
int mail_read_parts(struct mail_parsing *parsing);
// After headers and parts: what kind of mail it is.
int mail_read_kind(struct mail_parsing *parsing);
// Whether it is a bounce: fills in reports and original then. 0, not only where it is.
int mail_read_bounce(struct mail_parsing *parsing);
// Whether a mail server writes: MAILER-DAEMON, and postmaster where that counts.
bool mail_is_daemon(const struct mail *mail, bool postmaster);
int mail_read_thread(struct mail_parsing *parsing);

// ---- text

// Appends bytes of that charset (NULL: not said) as valid UTF-8. A charset that is not known, or
// none, is UTF-8 where the bytes are, else windows-1252; what does not decode becomes U+FFFD.
void mail_text_decode(GString *out, const char *charset, const char *bytes, size_t size);
// As a body has it: lines end in \n, no other control characters but \t; valid UTF-8.
void mail_text_clean(GString *text);
// As a header has it: on one line, no control characters, no blanks around it, cut to bytes_max.
char *mail_text_line(struct arena *arena, const char *text, size_t bytes_max);
// Cuts it to bytes_max, between two characters. False where it is short enough.
bool mail_text_cut(GString *text, size_t bytes_max);
// format=flowed (RFC 3676): joins what was one line, in place. Lines end in \n.
void mail_text_unflow(GString *text, bool delsp);
// Appends the text of an HTML document of UTF-8. False where it was cut for its depth.
bool mail_html_text(GString *out, const char *html, size_t size);

// Appends a header's value with its encoded words read, those that are broken as they stand.
void mail_words_decode(GString *out, const char *value);
// The value with each run of encoded words as one word, for GMime to read; to be freed.
char *mail_words_join(const char *value);
// Whether the text has to be written in encoded words; and does so, folded by "\n ".
bool mail_words_needed(const char *text);
void mail_words_encode(GString *out, const char *text);

// ---- headers

// The header's value as it stands in the message, folds and all; NULL: there is none.
const char *mail_header(struct mail_parsing *parsing, const char *name);
// A field in a block of headers, unfolded, to be freed; NULL: not there. A blank line ends it.
char *mail_field(const char *block, size_t size, const char *name);
// Addresses of one header's value, added to those that are there. 0; -ENOMEM.
int mail_addresses_add(struct mail_parsing *parsing, const char *value, struct mail_addresses *ret);
// A Message-ID without brackets, out of a text that holds one; NULL: none, or not acceptable.
const char *mail_id(struct mail_parsing *parsing, const char *text);
// Whether the text, up to a comment, parameter or blank, is one of the words (NULL-terminated).
bool mail_word_is(const char *text, const char *const *words);
void mail_sha256(const void *bytes, size_t size, char ret[static 65]);

// ---- tokens

enum { MAIL_CLICK_ID_BYTES = 80 };
// The id of the event that a token becomes which was posted then. 0; -EINVAL: it is not known.
int mail_token_id(const struct mail_conf *conf, const struct mail_token *token, int64_t received_us,
                  char ret[static MAIL_CLICK_ID_BYTES]);

// ---- what we send

// Why it cannot be composed, static text; NULL: it can.
const char *mail_check(const struct mail_conf *conf, const struct mail_out *out);

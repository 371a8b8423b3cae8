// SPDX-License-Identifier: Apache-2.0
// What may stand in a message that we send: no value, wherever it comes from, can become a second
// header or another recipient.
#include <string.h>

#include "connectors/dialect/mail_private.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/utf8.h"

enum { LOCAL_PART_BYTES_MAX = 64, LANGUAGE_BYTES_MAX = 35 };

static bool is_printable(const char *text, size_t bytes_max) {
    size_t size = strlen(text);
    return size <= bytes_max && (!GUARD(mail_injection) || utf8_check_printable(text, size));
}

// A dot-atom on both sides (RFC 5321, 4.1.2), without quoted local parts, which mail servers
// seldom agree on.
bool mail_address_ok(const char *address) {
    static const char atom[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               "!#$%&'*+-/=?^_`{|}~.";
    const char *at = address == NULL ? NULL : strchr(address, '@');
    if (at == NULL || at == address || at - address > LOCAL_PART_BYTES_MAX || at[1] == '\0' ||
        strlen(address) > MAIL_ADDRESS_BYTES_MAX) {
        return false;
    }
    bool is_atoms = address + strspn(address, atom) == at;
    size_t domain =
        strspn(at + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-");
    return is_atoms && at[1 + domain] == '\0' && strstr(address, "..") == NULL &&
           address[0] != '.' && at[-1] != '.' && at[1] != '.' && at[1] != '-' && at[domain] != '.';
}

bool mail_name_ok(const char *name) {
    return is_printable(name, MAIL_NAME_BYTES_MAX);
}

static bool is_id(const char *id) {
    return id != NULL && id[0] != '\0' && is_printable(id, MAIL_ID_BYTES_MAX) &&
           strpbrk(id, " <>") == NULL;
}

bool mail_language_ok(const char *text) {
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");
    return n >= 2 && n <= LANGUAGE_BYTES_MAX && text[n] == '\0';
}

static bool is_url(const char *url) {
    size_t size = strlen(url);
    for (size_t i = 0; i < size; i++) {
        if (url[i] <= ' ' || url[i] >= 0x7f || strchr("<>\",", url[i]) != NULL) {
            return false;
        }
    }
    return size <= MAIL_ID_BYTES_MAX && strncmp(url, "https://", 8) == 0; // RFC 8058, 3.1
}

bool mail_tag_ok(const char *tag) {
    size_t n = strspn(tag, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    return n > 0 && n <= MAIL_TAG_BYTES_MAX && tag[n] == '\0';
}

static const char *check_references(const struct mail_out *out) {
    for (size_t i = 0; i < out->n_references; i++) {
        if (!is_id(out->references[i])) {
            return "references: not a Message-ID";
        }
    }
    return out->in_reply_to != NULL && !is_id(out->in_reply_to) ? "in_reply_to: not a Message-ID"
                                                                : NULL;
}

static const char *check_purpose(const struct mail_conf *conf, const struct mail_out *out) {
    if (out->purpose == NULL) {
        return NULL;
    }
    if (conf->key == NULL || (conf->unsubscribe_url == NULL && conf->unsubscribe_address == NULL)) {
        return "marketing without a way to unsubscribe";
    }
    if (conf->unsubscribe_url != NULL && !is_url(conf->unsubscribe_url)) {
        return "unsubscribe_url: not an https URL";
    }
    if (conf->unsubscribe_address != NULL && !mail_address_ok(conf->unsubscribe_address)) {
        return "unsubscribe_address: not an address";
    }
    return NULL;
}

const char *mail_check(const struct mail_conf *conf, const struct mail_out *out) {
    const struct {
        bool ok;
        const char *why;
    } rows[] = {
        {mail_address_ok(out->from), "from: not an address"},
        {mail_address_ok(out->to), "to: not an address"},
        {out->reply_to == NULL || mail_address_ok(out->reply_to), "reply_to: not an address"},
        {out->from_name == NULL || mail_name_ok(out->from_name),
         "from_name: too long, or with control characters"},
        {out->to_name == NULL || mail_name_ok(out->to_name),
         "to_name: too long, or with control characters"},
        {out->subject != NULL && is_printable(out->subject, MAIL_SUBJECT_BYTES_MAX),
         "subject: missing, too long, or with control characters"},
        {out->tag == NULL || mail_tag_ok(out->tag), "tag: not of [A-Za-z0-9._-]"},
        {out->language == NULL || mail_language_ok(out->language), "language: not a tag"},
        {out->text != NULL && strlen(out->text) <= MAIL_TEXT_BYTES_MAX &&
             utf8_check(out->text, strlen(out->text)),
         "text: missing, too long, or not UTF-8"},
        {out->date_us > 0 && out->date_us <= CLOCK_US_MAX, "date_us: no date"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (!rows[i].ok) {
            return rows[i].why;
        }
    }
    const char *why = check_references(out);
    return why != NULL ? why : check_purpose(conf, out);
}

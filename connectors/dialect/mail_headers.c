// SPDX-License-Identifier: Apache-2.0
// The headers of a message: who, to whom, what about, when, in what language. A header that cannot
// be read is as if it were not there; the mail is read all the same.
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "connectors/dialect/mail_private.h"
#include "schemas/base/clock.h"
#include "schemas/base/utf8.h"

enum { LANGUAGE_BYTES_MAX = 35 }; // RFC 5646, 4.4.1

// GMime gives Content-* to the outermost part.
const char *mail_header(struct mail_parsing *parsing, const char *name) {
    GMimeObject *part = g_mime_message_get_mime_part(parsing->message);
    GMimeObject *object =
        part != NULL && strncmp(name, "Content-", 8) == 0 ? part : GMIME_OBJECT(parsing->message);
    GMimeHeader *header =
        g_mime_header_list_get_header(g_mime_object_get_header_list(object), name);
    return header == NULL ? NULL : g_mime_header_get_raw_value(header);
}

static char *decoded(struct mail_parsing *parsing, const char *raw, size_t bytes_max) {
    if (strlen(raw) > MAIL_HEADER_BYTES_MAX) {
        return arena_strdup(parsing->arena, "");
    }
    _cleanup_gfree_ char *unfolded = g_mime_utils_header_unfold(raw);
    _cleanup_gstring_ GString *text = g_string_new(NULL);
    mail_words_decode(text, unfolded);
    return mail_text_line(parsing->arena, text->str, bytes_max);
}

bool mail_word_is(const char *text, const char *const *words) {
    text += strspn(text, " \t\r\n");
    size_t size = strcspn(text, " \t\r\n;,(");
    for (size_t i = 0; words[i] != NULL; i++) {
        if (strlen(words[i]) == size && strncasecmp(words[i], text, size) == 0) {
            return true;
        }
    }
    return false;
}

// ---- addresses

static bool is_address(const char *text) {
    const char *at = text == NULL ? NULL : strrchr(text, '@');
    size_t size = text == NULL ? 0 : strlen(text);
    return at != NULL && at != text && at[1] != '\0' && size <= MAIL_ADDRESS_BYTES_MAX &&
           strpbrk(text, " <>,;") == NULL && utf8_check_printable(text, size);
}

static int add_mailbox(struct mail_parsing *parsing, InternetAddress *mailbox,
                       struct mail_addresses *ret) {
    const char *text = internet_address_mailbox_get_addr(INTERNET_ADDRESS_MAILBOX(mailbox));
    const char *name = internet_address_get_name(mailbox);
    if (!is_address(text)) {
        return 0;
    }
    ret->n_named++;
    if (ret->n == MAIL_ADDRESSES_MAX) {
        return 0;
    }
    if (ret->list == NULL) {
        ret->list = arena_calloc(parsing->arena, MAIL_ADDRESSES_MAX, sizeof(*ret->list));
    }
    if (ret->list == NULL) {
        return -ENOMEM;
    }
    struct mail_address *address = &ret->list[ret->n];
    address->address = arena_strdup(parsing->arena, text);
    address->name = name == NULL ? "" : mail_text_line(parsing->arena, name, MAIL_NAME_BYTES_MAX);
    ret->n++;
    return address->address == NULL || address->name == NULL ? -ENOMEM : 0;
}

int mail_addresses_add(struct mail_parsing *parsing, const char *value,
                       struct mail_addresses *ret) {
    _cleanup_gfree_ char *joined = mail_words_join(value);
    _cleanup_gobject_ InternetAddressList *list =
        internet_address_list_parse(parsing->options, joined);
    int r = 0, n = list == NULL ? 0 : internet_address_list_length(list);
    for (int i = 0; r == 0 && i < n; i++) {
        InternetAddress *address = internet_address_list_get_address(list, i);
        if (INTERNET_ADDRESS_IS_MAILBOX(address)) {
            r = add_mailbox(parsing, address, ret);
            continue;
        }
        InternetAddressList *members =
            internet_address_group_get_members(INTERNET_ADDRESS_GROUP(address));
        int n_members = members == NULL ? 0 : internet_address_list_length(members);
        for (int k = 0; r == 0 && k < n_members; k++) {
            InternetAddress *member = internet_address_list_get_address(members, k);
            r = INTERNET_ADDRESS_IS_MAILBOX(member) ? add_mailbox(parsing, member, ret) : 0;
        }
    }
    return r;
}

static int read_addresses(struct mail_parsing *parsing) {
    struct mail *mail = parsing->mail;
    struct mail_addresses from = {0}, sender = {0}, return_path = {0};
    const struct {
        const char *name;
        struct mail_addresses *ret;
    } rows[] = {
        {"From", &from},
        {"Sender", &sender},
        {"Return-Path", &return_path},
        {"To", &mail->to},
        {"Cc", &mail->cc},
        {"Reply-To", &mail->reply_to},
        {"Delivered-To", &mail->delivered_to},
        {"X-Original-To", &mail->delivered_to},
        {"Envelope-To", &mail->delivered_to},
    };
    GMimeHeaderList *headers = g_mime_object_get_header_list(GMIME_OBJECT(parsing->message));
    int n = g_mime_header_list_get_count(headers);
    for (int i = 0; i < n; i++) {
        GMimeHeader *header = g_mime_header_list_get_header_at(headers, i);
        for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
            const char *raw = g_mime_header_get_raw_value(header);
            if (raw != NULL && strlen(raw) <= MAIL_HEADER_BYTES_MAX &&
                strcasecmp(g_mime_header_get_name(header), rows[k].name) == 0) {
                int r = mail_addresses_add(parsing, raw, rows[k].ret);
                if (r != 0) {
                    return r;
                }
            }
        }
    }
    mail->from = from.n > 0          ? from.list[0]
                 : sender.n > 0      ? sender.list[0]
                 : return_path.n > 0 ? return_path.list[0]
                                     : (struct mail_address){"", ""};
    return 0;
}

// ---- subject, tag, language, date

static const char *last_tag(struct arena *arena, const char *subject) {
    const char *found = NULL;
    size_t found_size = 0;
    for (const char *at = strstr(subject, "[#"); at != NULL; at = strstr(at + 2, "[#")) {
        size_t size = strspn(at + 2, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "0123456789._-");
        if (size > 0 && size <= MAIL_TAG_BYTES_MAX && at[2 + size] == ']') {
            found = at + 2;
            found_size = size;
        }
    }
    char *tag = found == NULL ? NULL : arena_calloc(arena, 1, found_size + 1);
    return tag == NULL ? NULL : memcpy(tag, found, found_size);
}

// The first tag of a list; "*" and what is none are as if nothing were said.
static const char *language_of(struct mail_parsing *parsing, const char *header) {
    const char *text = mail_header(parsing, header);
    text = text == NULL ? "" : text + strspn(text, " \t\r\n");
    size_t n = 0;
    while (isalnum((unsigned char)text[n]) || (n > 0 && text[n] == '-')) {
        n++;
    }
    bool ends = text[n] == '\0' || strchr(" \t\r\n,;(", text[n]) != NULL;
    if (n < 2 || n > LANGUAGE_BYTES_MAX || !ends || !isalpha((unsigned char)text[0]) ||
        !isalpha((unsigned char)text[1])) {
        return NULL;
    }
    char *language = arena_calloc(parsing->arena, 1, n + 1);
    return language == NULL ? NULL : memcpy(language, text, n);
}

static void read_date(struct mail_parsing *parsing) {
    const char *raw = mail_header(parsing, "Date");
    GDateTime *date = raw == NULL ? NULL : g_mime_utils_header_decode_date(raw);
    if (date == NULL) {
        return;
    }
    int64_t time_us = g_date_time_to_unix(date) * CLOCK_US_PER_S;
    g_date_time_unref(date);
    if (time_us >= CLOCK_US_MIN && time_us <= CLOCK_US_MAX) {
        parsing->mail->date_us = time_us;
        parsing->mail->has_date = true;
    }
}

int mail_read_headers(struct mail_parsing *parsing) {
    struct mail *mail = parsing->mail;
    const char *subject = mail_header(parsing, "Subject");
    mail->subject = subject == NULL ? "" : decoded(parsing, subject, MAIL_SUBJECT_BYTES_MAX);
    if (mail->subject == NULL) {
        return -ENOMEM;
    }
    mail->tag = last_tag(parsing->arena, mail->subject);
    mail->language = language_of(parsing, "Content-Language");
    if (mail->language == NULL) {
        mail->language = language_of(parsing, "Accept-Language");
    }
    read_date(parsing);
    return read_addresses(parsing);
}

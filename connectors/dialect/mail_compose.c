// SPDX-License-Identifier: Apache-2.0
// A message that we send. What may stand in it is judged first (mail_check.c); then GMime puts it
// together, folds and encodes.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/dialect/mail_private.h"
#include "schemas/base/clock.h"

enum { REFERENCES_KEPT = 20 };

// ---- headers

static void add_raw(GMimeMessage *message, const char *name, const char *raw) {
    GMimeHeaderList *headers = g_mime_object_get_header_list(GMIME_OBJECT(message));
    g_mime_header_list_append(headers, name, "", NULL);
    g_mime_header_set_raw_value(
        g_mime_header_list_get_header_at(headers, g_mime_header_list_get_count(headers) - 1), raw);
}

// The display name as encoded words or a quoted string, then the address.
static void add_mailbox(GMimeMessage *message, const char *header, const char *name,
                        const char *address) {
    _cleanup_gstring_ GString *raw = g_string_new(" ");
    if (name != NULL && mail_words_needed(name)) {
        mail_words_encode(raw, name);
        g_string_append(raw, "\n ");
    } else if (name != NULL && name[0] != '\0') {
        _cleanup_gfree_ char *quoted = g_strescape(name, NULL);
        g_string_append_printf(raw, "\"%s\"\n ", quoted);
    }
    g_string_append_printf(raw, "<%s>\n", address);
    add_raw(message, header, raw->str);
}

static void add_subject(GMimeMessage *message, const struct mail_out *out) {
    _cleanup_gstring_ GString *subject = g_string_new(out->subject);
    if (out->tag != NULL) {
        _cleanup_gfree_ char *tag = g_strdup_printf("[#%s]", out->tag);
        if (strstr(out->subject, tag) == NULL) {
            g_string_append_printf(subject, " %s", tag);
        }
    }
    if (!mail_words_needed(subject->str)) {
        g_mime_message_set_subject(message, subject->str, "utf-8"); // folds it
        return;
    }
    _cleanup_gstring_ GString *raw = g_string_new(" ");
    mail_words_encode(raw, subject->str);
    g_string_append_c(raw, '\n');
    add_raw(message, "Subject", raw->str);
}

static void add_ids(GMimeMessage *message, const struct mail_out *out) {
    if (out->in_reply_to == NULL) {
        return;
    }
    _cleanup_gstring_ GString *answered = g_string_new(NULL);
    _cleanup_gstring_ GString *references = g_string_new(NULL);
    g_string_printf(answered, " <%s>\n", out->in_reply_to);
    add_raw(message, "In-Reply-To", answered->str);
    // The first one is the thread's, the last ones tell the rest of it.
    size_t n = out->n_references;
    for (size_t i = 0; i < n; i++) {
        if ((i == 0 || i + REFERENCES_KEPT > n) &&
            strcmp(out->references[i], out->in_reply_to) != 0) {
            g_string_append_printf(references, " <%s>\n", out->references[i]);
        }
    }
    g_string_append_printf(references, " <%s>\n", out->in_reply_to);
    add_raw(message, "References", references->str);
}

static int add_unsubscribe(GMimeMessage *message, const struct mail_conf *conf,
                           const struct mail_out *out) {
    char token[MAIL_TOKEN_BYTES_MAX];
    if (out->purpose == NULL) {
        return 0;
    }
    int r = mail_token_make(conf, out->to, out->purpose, token);
    if (r != 0) {
        return r;
    }
    _cleanup_gstring_ GString *value = g_string_new(NULL);
    const char *url = conf->unsubscribe_url, *address = conf->unsubscribe_address;
    if (url != NULL) {
        g_string_append_printf(value, " <%s%s>%s\n", url, token, address != NULL ? "," : "");
    }
    if (address != NULL) {
        g_string_append_printf(value, " <mailto:%s?subject=unsubscribe%%20%s>\n", address, token);
    }
    add_raw(message, "List-Unsubscribe", value->str);
    if (url != NULL) {
        add_raw(message, "List-Unsubscribe-Post", " List-Unsubscribe=One-Click\n");
    }
    return 0;
}

static int add_headers(GMimeMessage *message, const struct mail_conf *conf,
                       const struct mail_out *out) {
    char id[MAIL_ID_BYTES_MAX + 1];
    int r = mail_message_id(conf, out->contact_id, id);
    if (r != 0) {
        return -EINVAL;
    }
    GDateTime *date = g_date_time_new_from_unix_utc(out->date_us / CLOCK_US_PER_S);
    add_mailbox(message, "From", out->from_name, out->from);
    add_mailbox(message, "To", out->to_name, out->to);
    if (out->reply_to != NULL) {
        add_mailbox(message, "Reply-To", NULL, out->reply_to);
    }
    add_subject(message, out);
    g_mime_message_set_date(message, date);
    g_date_time_unref(date);
    _cleanup_gstring_ GString *raw = g_string_new(NULL);
    g_string_printf(raw, " <%s>\n", id);
    add_raw(message, "Message-ID", raw->str);
    add_ids(message, out);
    if (out->automatic) {
        add_raw(message, "Auto-Submitted", " auto-generated\n");
    }
    if (out->language != NULL) {
        g_string_printf(raw, " %s\n", out->language);
        add_raw(message, "Content-Language", raw->str);
    }
    return add_unsubscribe(message, conf, out);
}

// ---- body

// Lines end in \n here; whoever writes the message makes CRLF of it.
static GMimePart *body_part(const char *text) {
    _cleanup_gstring_ GString *lines = g_string_new(NULL);
    for (const char *at = text; *at != '\0'; at++) {
        if (*at != '\r') {
            g_string_append_c(lines, *at);
        } else if (at[1] != '\n') {
            g_string_append_c(lines, '\n');
        }
    }
    if (lines->len > 0 && lines->str[lines->len - 1] != '\n') {
        g_string_append_c(lines, '\n');
    }
    GMimeTextPart *part = g_mime_text_part_new_with_subtype("plain");
    g_mime_text_part_set_charset(part, "utf-8");
    g_mime_text_part_set_text(part, lines->str);
    size_t n_high = 0;
    for (size_t i = 0; i < lines->len; i++) {
        n_high += (unsigned char)lines->str[i] >= 0x80;
    }
    g_mime_part_set_content_encoding(
        GMIME_PART(part), n_high > lines->len / 4 ? GMIME_CONTENT_ENCODING_BASE64
                                                  : GMIME_CONTENT_ENCODING_QUOTEDPRINTABLE);
    return GMIME_PART(part);
}

static bool lines_are_legal(const char *text) {
    while (*text != '\0') {
        const char *end = strstr(text, "\r\n");
        if (end == NULL || end - text > MAIL_LINE_BYTES_MAX) {
            return false;
        }
        text = end + 2;
    }
    return true;
}

static int write_message(GMimeMessage *message, char **ret, size_t *ret_size,
                         const char **ret_why) {
    GMimeFormatOptions *format = g_mime_format_options_new();
    g_mime_format_options_set_newline_format(format, GMIME_NEWLINE_FORMAT_DOS);
    _cleanup_gfree_ char *text = g_mime_object_to_string(GMIME_OBJECT(message), format);
    g_mime_format_options_free(format);
    if (text == NULL || !lines_are_legal(text)) {
        *ret_why = "a line is longer than MAIL_LINE_BYTES_MAX";
        return -EINVAL;
    }
    *ret = strdup(text); // the caller frees with free
    *ret_size = strlen(text);
    return *ret == NULL ? -ENOMEM : 0;
}

int mail_compose(const struct mail_conf *conf, const struct mail_out *out, char **ret,
                 size_t *ret_size, const char **ret_why) {
    mail_init();
    const char *why = mail_check(conf, out);
    if (why != NULL) {
        *ret_why = why;
        return -EINVAL;
    }
    _cleanup_gobject_ GMimeMessage *message = g_mime_message_new(FALSE);
    _cleanup_gobject_ GMimePart *part = body_part(out->text);
    int r = add_headers(message, conf, out);
    if (r != 0) {
        *ret_why = "contact_id, domain, purpose: missing, too long, or with control characters";
        return r;
    }
    g_mime_message_set_mime_part(message, GMIME_OBJECT(part));
    return write_message(message, ret, ret_size, ret_why);
}

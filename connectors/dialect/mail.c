// SPDX-License-Identifier: Apache-2.0
// A message's bytes -> a struct mail: bounds, GMime, then a step for each thing that it says.
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "connectors/dialect/mail_private.h"

static void init_gmime(void) {
    g_mime_init();
}

void mail_init(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_gmime);
}

void mail_sha256(const void *bytes, size_t size, char ret[static 65]) {
    _cleanup_gfree_ char *hex = g_compute_checksum_for_data(
        G_CHECKSUM_SHA256, size == 0 ? (const guchar *)"" : bytes, size);
    memcpy(ret, hex, 65);
}

static GMimeMessage *parse(GMimeParserOptions *options, const char *bytes, size_t size) {
    _cleanup_gobject_ GMimeStream *stream = g_mime_stream_mem_new();
    GByteArray *array = g_byte_array_sized_new((guint)size);
    g_byte_array_append(array, (const guint8 *)bytes, (guint)size);
    g_mime_stream_mem_set_byte_array(GMIME_STREAM_MEM(stream), array);
    g_mime_stream_mem_set_owner(GMIME_STREAM_MEM(stream), TRUE);
    _cleanup_gobject_ GMimeParser *parser = g_mime_parser_new_with_stream(stream);
    g_mime_parser_set_persist_stream(parser, TRUE); // parts refer to the bytes, and do not copy
    return g_mime_parser_construct_message(parser, options);
}

// Of what makes a mail this one, see mail_events.
static void make_id(struct mail *mail, const char *bytes, size_t size) {
    if (mail->message_id == NULL) {
        mail_sha256(bytes, size, mail->id);
        return;
    }
    _cleanup_gstring_ GString *text = g_string_new(NULL);
    g_string_printf(text, "%s\n%s\n%" G_GINT64_FORMAT, mail->message_id, mail->from.address,
                    mail->date_us);
    mail_sha256(text->str, text->len, mail->id);
}

static bool has_header(GMimeMessage *message) {
    GMimeObject *part = g_mime_message_get_mime_part(message);
    int n = g_mime_header_list_get_count(g_mime_object_get_header_list(GMIME_OBJECT(message)));
    return n > 0 ||
           (part != NULL && g_mime_header_list_get_count(g_mime_object_get_header_list(part)) > 0);
}

static int read_message(struct mail_parsing *parsing, const char *bytes, size_t size) {
    if (!has_header(parsing->message)) {
        parsing->why = "no header";
        return -EBADMSG;
    }
    int r = mail_read_headers(parsing);
    r = r != 0 ? r : mail_read_parts(parsing);
    r = r != 0 ? r : mail_read_kind(parsing);
    r = r != 0 ? r : mail_read_thread(parsing);
    if (r == 0) {
        make_id(parsing->mail, bytes, size);
    }
    return r;
}

static int fill(const struct mail_conf *conf, const char *bytes, size_t size,
                struct mail_owned *owned, const char **ret_why) {
    static const char *fallbacks[] = {"utf-8", "windows-1252", NULL};
    struct mail_parsing parsing = {.conf = conf,
                                   .arena = owned->arena,
                                   .mail = &owned->mail,
                                   .options = g_mime_parser_options_new(),
                                   .text = g_string_new(NULL),
                                   .attachments = owned->attachments};
    g_mime_parser_options_set_fallback_charsets(parsing.options, fallbacks);
    parsing.message = parse(parsing.options, bytes, size);
    parsing.why = "not readable as a message";
    int r = parsing.message == NULL ? -EBADMSG : read_message(&parsing, bytes, size);
    if (parsing.status != NULL) {
        g_string_free(parsing.status, TRUE);
    }
    if (parsing.returned != NULL) {
        g_string_free(parsing.returned, TRUE);
    }
    g_clear_object(&parsing.message);
    g_mime_parser_options_free(parsing.options);
    struct mail *mail = &owned->mail;
    mail->text_size = parsing.text->len;
    mail->text = owned->text = g_string_free(parsing.text, FALSE);
    mail_sha256(mail->text, mail->text_size, mail->text_sha256);
    mail->attachments = (struct mail_attachment *)(void *)owned->attachments->data;
    mail->n_attachments = owned->attachments->len;
    *ret_why = r == -ENOMEM ? "no memory" : parsing.why;
    return r;
}

int mail_parse(const struct mail_conf *conf, const void *bytes, size_t size, struct mail **ret,
               const char **ret_why) {
    mail_init();
    int r = mail_scan(bytes, size, ret_why);
    if (r != 0) {
        return r;
    }
    struct mail_owned *owned = calloc(1, sizeof(*owned));
    if (owned == NULL) {
        return -ENOMEM;
    }
    owned->attachments = g_array_new(FALSE, FALSE, sizeof(struct mail_attachment));
    owned->arena = arena_new(MAIL_ARENA_BYTES_MAX);
    r = owned->arena == NULL ? -ENOMEM : fill(conf, bytes, size, owned, ret_why);
    if (r != 0) {
        mail_free(&owned->mail);
        return r;
    }
    *ret = &owned->mail;
    return 0;
}

struct mail *mail_free(struct mail *mail) {
    struct mail_owned *owned = (struct mail_owned *)mail;
    if (owned == NULL) {
        return NULL;
    }
    for (guint i = 0; i < owned->attachments->len; i++) {
        const struct mail_attachment *attachment =
            &g_array_index(owned->attachments, struct mail_attachment, i);
        g_free((void *)(uintptr_t)attachment->bytes);
    }
    g_array_free(owned->attachments, TRUE);
    g_free(owned->text);
    arena_free(owned->arena);
    free(owned);
    return NULL;
}

void cleanup_mail(struct mail **mail) {
    mail_free(*mail);
}

bool mail_kept(const struct mail *mail, size_t index, struct mail_kept *ret) {
    bool has_text = mail->text_size > MAIL_EVENT_TEXT_BYTES_MAX;
    if (has_text && index == 0) {
        *ret = (struct mail_kept){mail->text_sha256, "text/plain", mail->text, mail->text_size};
        return true;
    }
    index -= has_text;
    for (size_t i = 0; i < mail->n_attachments; i++) {
        const struct mail_attachment *attachment = &mail->attachments[i];
        if (attachment->size > 0 && index-- == 0) {
            *ret = (struct mail_kept){attachment->sha256, attachment->type, attachment->bytes,
                                      attachment->size};
            return true;
        }
    }
    return false;
}

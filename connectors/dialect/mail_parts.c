// SPDX-License-Identifier: Apache-2.0
// The parts of a message: which are its text, which are attachments. Of alternatives the plain text
// is taken where there is any, else the richer one; whatever else hangs in the branch that is not
// taken is an attachment nevertheless.
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "connectors/dialect/mail_private.h"
#include "schemas/base/guards.h"

enum { HTML_META_BYTES = 1024 }; // how far into a document its charset is looked for

struct level {
    GMimeMultipart *multipart;
    int next, n;
    int chosen; // the alternative that is text; -1: all are
    bool muted; // text in here is a variant of what was taken
};

struct walk {
    struct level levels[MAIL_DEPTH_MAX];
    size_t depth;
    size_t n_parts;
};

// ---- a part's bytes

static GByteArray *part_bytes(GMimeObject *object) {
    _cleanup_gobject_ GMimeStream *stream = g_mime_stream_mem_new();
    GMimeDataWrapper *content =
        GMIME_IS_PART(object) ? g_mime_part_get_content(GMIME_PART(object)) : NULL;
    if (content != NULL) {
        g_mime_data_wrapper_write_to_stream(content, stream);
    } else if (GMIME_IS_MESSAGE_PART(object)) {
        GMimeMessage *message = g_mime_message_part_get_message(GMIME_MESSAGE_PART(object));
        if (message != NULL) {
            g_mime_object_write_to_stream(GMIME_OBJECT(message), NULL, stream);
        }
    }
    g_mime_stream_mem_set_owner(GMIME_STREAM_MEM(stream), FALSE);
    return g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(stream));
}

static bool is_type(GMimeObject *object, const char *type, const char *subtype) {
    return g_mime_content_type_is_type(g_mime_object_get_content_type(object), type, subtype);
}

// ---- text

static bool is_attachment(GMimeObject *object) {
    const char *disposition = g_mime_object_get_disposition(object);
    if (!is_type(object, "text", "plain") && !is_type(object, "text", "html")) {
        return true;
    }
    return (disposition != NULL && strcasecmp(disposition, "attachment") == 0) ||
           (GMIME_IS_PART(object) && g_mime_part_get_filename(GMIME_PART(object)) != NULL);
}

static const char *html_charset(const char *html, size_t size) {
    size_t n = size < HTML_META_BYTES ? size : HTML_META_BYTES;
    for (size_t i = 0; i + 8 < n; i++) {
        if (strncasecmp(html + i, "charset=", 8) == 0) {
            return html + i + 8; // up to a quote: within the document, which ends in a NUL
        }
    }
    return NULL;
}

static GString *part_text(GMimeObject *object, bool *ret_cut) {
    GByteArray *bytes = part_bytes(object);
    GString *text = g_string_new(NULL);
    bool is_html = is_type(object, "text", "html");
    const char *charset = g_mime_object_get_content_type_parameter(object, "charset");
    *ret_cut = bytes->len > MAIL_TEXT_BYTES_MAX;
    size_t size = *ret_cut ? MAIL_TEXT_BYTES_MAX : bytes->len;
    g_byte_array_append(bytes, (const guint8 *)"", 1);
    if (charset == NULL && is_html) {
        charset = html_charset((const char *)bytes->data, size);
    }
    mail_text_decode(text, charset, (const char *)bytes->data, size);
    g_byte_array_free(bytes, TRUE);
    mail_text_clean(text);
    *ret_cut |= mail_text_cut(text, MAIL_TEXT_BYTES_MAX);
    if (is_html) {
        GString *plain = g_string_new(NULL);
        *ret_cut |= !mail_html_text(plain, text->str, text->len);
        mail_text_clean(plain); // entities may have brought some in
        g_string_free(text, TRUE);
        return plain;
    }
    const char *format = g_mime_object_get_content_type_parameter(object, "format");
    const char *delsp = g_mime_object_get_content_type_parameter(object, "delsp");
    if (format != NULL && strcasecmp(format, "flowed") == 0) {
        mail_text_unflow(text, delsp != NULL && strcasecmp(delsp, "yes") == 0);
    }
    return text;
}

static void add_text(struct mail_parsing *parsing, const char *text, size_t size, bool cut) {
    GString *all = parsing->text;
    parsing->mail->text_cut |= cut;
    if (size == 0) {
        return;
    }
    if (all->len > 0 && all->str[all->len - 1] != '\n') {
        g_string_append_c(all, '\n');
    }
    g_string_append_len(all, text, (gssize)size);
    parsing->mail->text_cut |= mail_text_cut(all, MAIL_TEXT_BYTES_MAX);
}

static bool is_blank(const GString *text) {
    return text->str[strspn(text->str, " \t\n")] == '\0';
}

// ---- attachments

static const char *type_of(struct mail_parsing *parsing, GMimeObject *object) {
    _cleanup_gfree_ char *type =
        g_mime_content_type_get_mime_type(g_mime_object_get_content_type(object));
    char *line = mail_text_line(parsing->arena, type, MAIL_NAME_BYTES_MAX);
    for (char *at = line; at != NULL && *at != '\0'; at++) {
        *at = g_ascii_tolower(*at);
    }
    return line;
}

// RFC 2231, or encoded words where none may be, which is what most programs write.
static char *name_in(struct mail_parsing *parsing, GMimeObject *object, const char *header,
                     const char *parameter) {
    GMimeHeader *found =
        g_mime_header_list_get_header(g_mime_object_get_header_list(object), header);
    const char *raw = found == NULL ? NULL : g_mime_header_get_raw_value(found);
    if (raw == NULL || strlen(raw) > MAIL_HEADER_BYTES_MAX || strstr(raw, "=?") == NULL) {
        return NULL;
    }
    _cleanup_gfree_ char *unfolded = g_mime_utils_header_unfold(raw);
    _cleanup_gfree_ char *joined = mail_words_join(unfolded);
    _cleanup_gobject_ GMimeContentDisposition *disposition =
        g_mime_content_disposition_parse(parsing->options, joined);
    const char *name = disposition == NULL
                           ? NULL
                           : g_mime_content_disposition_get_parameter(disposition, parameter);
    return name == NULL ? NULL : mail_text_line(parsing->arena, name, MAIL_NAME_BYTES_MAX);
}

static const char *name_of(struct mail_parsing *parsing, GMimeObject *object) {
    const char *name = GMIME_IS_PART(object) ? g_mime_part_get_filename(GMIME_PART(object)) : NULL;
    if (name == NULL) {
        return "";
    }
    char *joined = name_in(parsing, object, "Content-Disposition", "filename");
    joined = joined != NULL ? joined : name_in(parsing, object, "Content-Type", "name");
    return joined != NULL ? joined : mail_text_line(parsing->arena, name, MAIL_NAME_BYTES_MAX);
}

static int add_attachment(struct mail_parsing *parsing, GMimeObject *object) {
    struct mail_attachment attachment = {.name = name_of(parsing, object),
                                         .type = type_of(parsing, object)};
    if (attachment.name == NULL || attachment.type == NULL) {
        return -ENOMEM;
    }
    GByteArray *bytes = part_bytes(object);
    attachment.size = bytes->len;
    mail_sha256(bytes->data, bytes->len, attachment.sha256);
    attachment.bytes = g_byte_array_free(bytes, FALSE);
    g_array_append_val(parsing->attachments, attachment);
    return 0;
}

// ---- what a report is made of

static void keep_report(struct mail_parsing *parsing, GMimeObject *object) {
    bool is_status = is_type(object, "message", "delivery-status") ||
                     is_type(object, "message", "global-delivery-status"); // RFC 6533
    if (parsing->status == NULL && is_status) {
        GByteArray *bytes = part_bytes(object);
        parsing->status = g_string_new_len((const char *)bytes->data, bytes->len);
        g_byte_array_free(bytes, TRUE);
        mail_text_cut(parsing->status, MAIL_STATUS_BYTES_MAX);
    }
    bool is_returned = GMIME_IS_MESSAGE_PART(object) || is_type(object, "text", "rfc822-headers") ||
                       is_type(object, "message", "global-headers");
    if (parsing->returned == NULL && is_returned) {
        GByteArray *bytes = part_bytes(object);
        size_t n = bytes->len < MAIL_STATUS_BYTES_MAX ? bytes->len : MAIL_STATUS_BYTES_MAX;
        parsing->returned = g_string_new_len((const char *)bytes->data, (gssize)n);
        g_byte_array_free(bytes, TRUE);
    }
}

// ---- the walk

// The alternative to show: the first plain text that says anything, else the last one that may hold
// text (the richest, RFC 2046, 5.1.4).
static int choose(GMimeMultipart *multipart) {
    int n = g_mime_multipart_get_count(multipart), chosen = 0;
    for (int i = 0; i < n && i < MAIL_PARTS_MAX; i++) {
        GMimeObject *object = g_mime_multipart_get_part(multipart, i);
        if (!is_attachment(object) && is_type(object, "text", "plain")) {
            bool cut;
            _cleanup_gstring_ GString *text = part_text(object, &cut);
            if (!is_blank(text)) {
                return i;
            }
        } else if (GMIME_IS_MULTIPART(object) || is_type(object, "text", "html")) {
            chosen = i;
        }
    }
    return chosen;
}

static int enter(struct mail_parsing *parsing, struct walk *walk, GMimeObject *object, bool muted) {
    GMimeMultipart *multipart = GMIME_MULTIPART(object);
    if (GUARD(mail_depth) && walk->depth == MAIL_DEPTH_MAX) {
        parsing->why = "nested deeper than MAIL_DEPTH_MAX";
        return -E2BIG;
    }
    const char *prologue = g_mime_multipart_get_prologue(multipart);
    struct level level = {.multipart = multipart,
                          .n = g_mime_multipart_get_count(multipart),
                          .chosen = -1,
                          .muted = muted};
    if (level.n == 0 && prologue != NULL && !muted) { // its boundary never came
        _cleanup_gstring_ GString *text = g_string_new(NULL);
        mail_text_decode(text, NULL, prologue, strlen(prologue));
        mail_text_clean(text);
        add_text(parsing, text->str, text->len, false);
    }
    if (is_type(object, "multipart", "alternative")) {
        level.chosen = choose(multipart);
    }
    walk->levels[walk->depth++] = level;
    return 0;
}

static int visit(struct mail_parsing *parsing, struct walk *walk, GMimeObject *object, bool muted) {
    if (GUARD(mail_parts) && ++walk->n_parts > MAIL_PARTS_MAX) {
        parsing->why = "more parts than MAIL_PARTS_MAX";
        return -E2BIG;
    }
    if (GMIME_IS_MULTIPART(object)) {
        return enter(parsing, walk, object, muted);
    }
    keep_report(parsing, object);
    if (is_attachment(object)) {
        return add_attachment(parsing, object);
    }
    if (!muted) {
        bool cut;
        _cleanup_gstring_ GString *text = part_text(object, &cut);
        add_text(parsing, text->str, text->len, cut);
    }
    return 0;
}

int mail_read_parts(struct mail_parsing *parsing) {
    GMimeObject *root = g_mime_message_get_mime_part(parsing->message);
    struct walk walk = {0};
    int r = root == NULL ? 0 : visit(parsing, &walk, root, false);
    while (r == 0 && walk.depth > 0) {
        struct level *level = &walk.levels[walk.depth - 1];
        if (level->next == level->n) {
            walk.depth--;
            continue;
        }
        int i = level->next++;
        bool muted = level->muted || (level->chosen >= 0 && i != level->chosen);
        r = visit(parsing, &walk, g_mime_multipart_get_part(level->multipart, i), muted);
    }
    return r;
}

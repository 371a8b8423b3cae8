// SPDX-License-Identifier: Apache-2.0
// Which thread a mail belongs to, by the rule of mail.h, and the Message-IDs it is told by.
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "connectors/dialect/mail_private.h"
#include "schemas/base/guards.h"
#include "schemas/base/utf8.h"

enum { ID_SEARCHED_BYTES = MAIL_ID_BYTES_MAX + 64 }; // with blanks and folds around it

// ---- ours

static bool is_plain(unsigned char c) {
    return isalnum(c) || strchr("-_+=", c) != NULL;
}

// A dot is legal between two others (RFC 5322, 3.2.3: dot-atom).
static bool is_dot(const char *text, size_t i) {
    return text[i] == '.' && i > 0 && text[i - 1] != '.' && text[i + 1] != '\0';
}

static bool domain_ok(const char *domain) {
    return domain != NULL && domain[0] != '\0' &&
           domain[strspn(domain, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "0123456789.-")] == '\0';
}

int mail_message_id(const struct mail_conf *conf, const char *contact_id,
                    char ret[static MAIL_ID_BYTES_MAX + 1]) {
    char id[MAIL_ID_BYTES_MAX + 1];
    size_t n = 0;
    if (!domain_ok(conf->domain) || contact_id == NULL || contact_id[0] == '\0' ||
        !utf8_check_printable(contact_id, strlen(contact_id))) {
        return -EINVAL;
    }
    for (size_t i = 0; contact_id[i] != '\0'; i++) {
        unsigned char c = (unsigned char)contact_id[i];
        if (n + 4 > sizeof(id)) {
            return -E2BIG;
        }
        if (is_plain(c) || is_dot(contact_id, i)) {
            id[n++] = (char)c;
        } else {
            id[n++] = '%';
            id[n++] = "0123456789ABCDEF"[c >> 4];
            id[n++] = "0123456789ABCDEF"[c & 15];
        }
    }
    id[n] = '\0';
    if (n + 1 + strlen(conf->domain) >= sizeof(id)) {
        return -E2BIG;
    }
    memcpy(ret, id, n);
    ret[n] = '@';
    memcpy(ret + n + 1, conf->domain, strlen(conf->domain) + 1);
    return 0;
}

static int hex_digit(char c) {
    const char *digits = "0123456789ABCDEF";
    const char *at = c == '\0' ? NULL : strchr(digits, toupper((unsigned char)c));
    return at == NULL ? -1 : (int)(at - digits);
}

int mail_contact_id(const struct mail_conf *conf, const char *message_id,
                    char ret[static MAIL_ID_BYTES_MAX + 1]) {
    char id[MAIL_ID_BYTES_MAX + 1];
    const char *at = message_id == NULL ? NULL : strrchr(message_id, '@');
    size_t n = 0;
    if (at == NULL || at == message_id || !domain_ok(conf->domain) ||
        (GUARD(mail_own_ids) && strcasecmp(at + 1, conf->domain) != 0)) {
        return 1;
    }
    for (const char *c = message_id; c < at; n++) {
        int high = c[0] == '%' ? hex_digit(c[1]) : -1, low = high < 0 ? -1 : hex_digit(c[2]);
        if (n == MAIL_ID_BYTES_MAX || (c[0] == '%' && low < 0)) {
            return 1;
        }
        id[n] = low < 0 ? *c : (char)(high * 16 + low);
        c += low < 0 ? 1 : 3;
    }
    id[n] = '\0';
    if (!utf8_check_printable(id, n)) {
        return 1;
    }
    memcpy(ret, id, n + 1);
    return 0;
}

// ---- anybody's

static const char *id_kept(struct mail_parsing *parsing, const char *id) {
    size_t size = id == NULL ? 0 : strlen(id);
    bool ok = size > 0 && size <= MAIL_ID_BYTES_MAX && utf8_check_printable(id, size) &&
              strpbrk(id, " <>") == NULL;
    return ok ? arena_strdup(parsing->arena, id) : NULL;
}

const char *mail_id(struct mail_parsing *parsing, const char *text) {
    const char *begin = text == NULL ? NULL : strchr(text, '<');
    const char *end = NULL;
    if (begin != NULL) {
        begin++;
        end = memchr(begin, '>', strnlen(begin, ID_SEARCHED_BYTES));
    }
    if (end == NULL && text != NULL) { // without brackets: the first word, where it looks like one
        begin = text + strspn(text, " \t\r\n");
        end = begin + strcspn(begin, " \t\r\n<>");
        end = memchr(begin, '@', (size_t)(end - begin)) == NULL ? NULL : end;
    }
    if (end == NULL || end - begin > ID_SEARCHED_BYTES) {
        return NULL;
    }
    _cleanup_gfree_ char *id = g_strndup(begin, (gsize)(end - begin));
    return id_kept(parsing, g_strstrip(id));
}

struct list {
    const char *ids[MAIL_REFERENCES_MAX];
    size_t n;
};

static void list_add(struct list *list, const char *id) {
    for (size_t i = 0; i < list->n; i++) {
        if (strcmp(list->ids[i], id) == 0) {
            return;
        }
    }
    if (list->n == MAIL_REFERENCES_MAX) { // the first one stays: it is the thread's
        memmove(&list->ids[1], &list->ids[2], (MAIL_REFERENCES_MAX - 2) * sizeof(list->ids[0]));
        list->n--;
    }
    list->ids[list->n++] = id;
}

// All the ids between brackets in a header; *ret_first: the first of them.
static void list_header(struct mail_parsing *parsing, const char *header, struct list *list,
                        const char **ret_first) {
    const char *value = mail_header(parsing, header);
    if (value == NULL || strlen(value) > MAIL_HEADER_BYTES_MAX) {
        return;
    }
    for (const char *at = strchr(value, '<'); at != NULL; at = strchr(at + 1, '<')) {
        const char *id = mail_id(parsing, at);
        if (id != NULL) {
            *ret_first = *ret_first == NULL ? id : *ret_first;
            list_add(list, id);
        }
    }
}

// ---- the rule

static const char *ours(struct mail_parsing *parsing, const char *id) {
    char contact_id[MAIL_ID_BYTES_MAX + 1];
    return id == NULL || mail_contact_id(parsing->conf, id, contact_id) != 0
               ? NULL
               : arena_strdup(parsing->arena, contact_id);
}

static const char *newest_of_ours(struct mail_parsing *parsing, const struct list *list) {
    const struct mail *mail = parsing->mail;
    const char *found = ours(parsing, mail->original);
    found = found != NULL ? found : ours(parsing, mail->in_reply_to);
    for (size_t i = list->n; i > 0 && found == NULL; i--) {
        found = ours(parsing, list->ids[i - 1]);
    }
    return found;
}

int mail_read_thread(struct mail_parsing *parsing) {
    struct mail *mail = parsing->mail;
    struct list list = {.n = 0};
    const char *ignored = NULL;
    list_header(parsing, "References", &list, &ignored);
    list_header(parsing, "In-Reply-To", &list, &mail->in_reply_to);
    mail->message_id = mail_id(parsing, mail_header(parsing, "Message-ID"));
    mail->references =
        list.n == 0 ? NULL : arena_copy(parsing->arena, list.ids, list.n * sizeof(list.ids[0]));
    if (list.n > 0 && mail->references == NULL) {
        return -ENOMEM;
    }
    mail->n_references = list.n;
    mail->contact_id = newest_of_ours(parsing, &list);
    const char *root = mail->original != NULL ? mail->original
                       : list.n > 0           ? list.ids[0]
                       : mail->tag != NULL    ? mail->tag
                                              : mail->message_id;
    const char *contact_id = ours(parsing, root);
    mail->thread = contact_id != NULL ? contact_id : root;
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
#include "connectors/email/letter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/email/content.h"
#include "connectors/email/recipient.h"
#include "connectors/email/record.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"

static void cleanup_content(struct content *content) {
    content_clear(content);
}

static int complain(int r, const char *text, char *why) {
    snprintf(why, LETTER_WHY_BYTES, "%s", text);
    return r;
}

// ---- whom

static bool is_marketing(const struct letter_options *options, const json_t *request) {
    const char *purpose = record_text(request, "purpose");
    bool known = *purpose != '\0';
    for (size_t i = 0; known && i < options->n_marketing; i++) {
        if (strcmp(options->marketing[i], purpose) == 0) {
            return true;
        }
    }
    return !known; // who cannot tell errs on this side
}

// What customers say of themselves is left out where it does not fit: no mail waits for that.
static void tidy(struct recipient *recipient) {
    for (char *at = recipient->language; (at = strchr(at, '_')) != NULL;) { // de_AT
        *at = '-';
    }
    if (GUARD(mail_tidy) && !mail_language_ok(recipient->language)) {
        recipient->language[0] = '\0';
    }
    if (GUARD(mail_tidy) && !mail_name_ok(recipient->name)) {
        recipient->name[0] = '\0';
    }
}

static int ask(touchbus_client *client, const struct decision *decision, struct recipient *ret,
               char *why) {
    int r = decision->customer == NULL
                ? 1
                : recipient_ask(client, decision->customer, decision->sequence, ret);
    switch (r) {
    case 0:
        tidy(ret);
        return 0;
    case 1:
        return complain(1, "the contact is nobody's", why);
    case -EACCES:
        return complain(1, "the connector's key may not read customers", why);
    default:
        return complain(-EAGAIN, "the broker does not answer whom it is to", why);
    }
}

// The request's address, else the customer's; asked only where something is missing.
static int find_recipient(touchbus_client *client, const json_t *request,
                          const struct decision *decision, struct recipient *ret, char *why) {
    const char *address = record_text(request, "address");
    bool given = strchr(address, '@') != NULL && strlen(address) < sizeof(ret->address);
    int r = 0;
    *ret = (struct recipient){0};
    if (!given || *record_text(request, "text") == '\0') {
        r = ask(client, decision, ret, why);
    }
    if (r == 0 && given) {
        snprintf(ret->address, sizeof(ret->address), "%s", address);
    }
    return r != 0 ? r
           : mail_address_ok(ret->address)
               ? 0
               : complain(1, "the customer has no e-mail address that mail can go to", why);
}

// ---- what

// The request's own subject and text, else the content's.
static int find_text(const struct letter_options *options, const json_t *request,
                     const json_t *data, const struct recipient *recipient, struct content *ret,
                     char *why) {
    const char *text = record_text(request, "text"), *subject = record_text(request, "subject");
    char content_why[CONTENT_WHY_BYTES];
    *ret = (struct content){0};
    if (*text == '\0') {
        int r = content_read(options->contents, record_text(data, "content_id"),
                             recipient->language, recipient->name, ret, content_why);
        return r > 0   ? complain(1, content_why, why)
               : r < 0 ? complain(-EAGAIN, "the content cannot be read", why)
                       : 0;
    }
    if (*subject == '\0' || strlen(subject) >= sizeof(ret->subject)) {
        return complain(1, "a text of its own needs a subject, and not too long a one", why);
    }
    snprintf(ret->subject, sizeof(ret->subject), "%s", subject);
    ret->text = strdup(text);
    return ret->text == NULL ? -ENOMEM : 0;
}

static size_t take_references(const json_t *request, const char *ret[MAIL_REFERENCES_MAX]) {
    const json_t *list = json_object_get(request, "references");
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(list) && n < MAIL_REFERENCES_MAX; i++) {
        const char *one = json_string_value(json_array_get(list, i));
        if (one != NULL) {
            ret[n++] = one;
        }
    }
    return n;
}

static const char *or_null(const char *text) {
    return *text != '\0' ? text : NULL;
}

static int compose(const struct letter_options *options, const struct mail_out *out,
                   struct letter *letter, char *why) {
    const char *compose_why = "";
    int r = mail_message_id(options->mail, out->contact_id, letter->ref);
    if (r != 0) {
        return complain(1, "the contact's id makes no Message-ID", why);
    }
    r = mail_compose(options->mail, out, &letter->bytes, &letter->size, &compose_why);
    return r == -EINVAL ? complain(1, compose_why, why) : r;
}

static int note_facts(const struct mail_out *out, const json_t *data, struct letter *letter) {
    letter->sent = json_pack("{s:s, s:s, s:s, s:s, s:s}", "to", out->to, "ref", letter->ref,
                             "contact_id", out->contact_id, "content_id",
                             record_text(data, "content_id"), "subject", out->subject);
    if (letter->sent == NULL ||
        (out->in_reply_to != NULL &&
         json_object_set_new(letter->sent, "in_reply_to", json_string(out->in_reply_to)) != 0)) {
        return -ENOMEM;
    }
    snprintf(letter->to, sizeof(letter->to), "%s", out->to);
    return 0;
}

int letter_write(const struct letter_options *options, touchbus_client *client,
                 const json_t *request, const struct decision *decision, struct letter *ret,
                 char why[LETTER_WHY_BYTES]) {
    const char *references[MAIL_REFERENCES_MAX];
    const json_t *data = decision->data;
    const char *contact_id = record_text(data, "contact_id");
    _cleanup_(cleanup_content) struct content content = {0};
    struct recipient recipient;
    int r = find_recipient(client, request, decision, &recipient, why);
    r = r != 0 ? r : find_text(options, request, data, &recipient, &content, why);
    if (r != 0) {
        return r;
    }
    struct mail_out out = {
        .contact_id = contact_id,
        .from = options->sender,
        .from_name = options->sender_name,
        .to = recipient.address,
        .to_name = recipient.name,
        .reply_to = options->reply_to,
        .subject = content.subject,
        .tag = options->subject_tag && mail_tag_ok(contact_id) ? contact_id : NULL,
        .text = content.text,
        .language = or_null(*record_text(request, "text") != '\0' ? record_text(request, "language")
                                                                  : recipient.language),
        .date_us = decision->time_us, // made again, it is the same mail
        .in_reply_to = or_null(record_text(request, "in_reply_to")),
        .references = references,
        .n_references = take_references(request, references),
        .purpose = is_marketing(options, request) ? *record_text(request, "purpose") != '\0'
                                                        ? record_text(request, "purpose")
                                                        : "marketing"
                                                  : NULL,
        .automatic = *record_text(request, "text") == '\0',
    };
    *ret = (struct letter){0};
    r = compose(options, &out, ret, why);
    r = r != 0 ? r : note_facts(&out, data, ret);
    if (r != 0) {
        letter_clear(ret);
    }
    return r;
}

void letter_clear(struct letter *letter) {
    free(letter->bytes);
    json_decref(letter->sent);
    *letter = (struct letter){0};
}

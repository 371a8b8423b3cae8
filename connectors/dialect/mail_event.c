// SPDX-License-Identifier: Apache-2.0
// What is published of a mail: the fields of the catalogue's types, and besides them what a reader
// of the timeline wants to know.
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "connectors/dialect/mail_private.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/body.h"

enum { EVENT_ID_BYTES = 80 };

static void cleanup_json(json_t **json) {
    json_decref(*json);
}
#define _cleanup_json_ _cleanup_(cleanup_json)

static void cleanup_event(touchbus_event **event) {
    touchbus_event_free(*event);
}

// ---- data

// What is not said is left out.
static void set_text(json_t *data, const char *name, const char *text) {
    if (text != NULL && text[0] != '\0') {
        json_object_set_new(data, name, json_string(text));
    }
}

static void set_addresses(json_t *data, const char *name, const struct mail_addresses *addresses) {
    json_t *list = addresses->n == 0 ? NULL : json_array();
    for (size_t i = 0; i < addresses->n; i++) {
        json_array_append_new(list, json_string(addresses->list[i].address));
    }
    if (list != NULL) {
        json_object_set_new(data, name, list);
    }
}

static void set_references(json_t *data, const struct mail *mail) {
    json_t *list = mail->n_references == 0 ? NULL : json_array();
    for (size_t i = 0; i < mail->n_references; i++) {
        json_array_append_new(list, json_string(mail->references[i]));
    }
    if (list != NULL) {
        json_object_set_new(data, "references", list);
    }
}

static void set_attachments(json_t *data, const struct mail *mail) {
    json_t *list = mail->n_attachments == 0 ? NULL : json_array();
    for (size_t i = 0; i < mail->n_attachments; i++) {
        const struct mail_attachment *attachment = &mail->attachments[i];
        json_t *one = json_object();
        set_text(one, "name", attachment->name);
        set_text(one, "type", attachment->type);
        json_object_set_new(one, "size", json_integer((json_int_t)attachment->size));
        set_text(one, "sha256", attachment->sha256);
        json_array_append_new(list, one);
    }
    if (list != NULL) {
        json_object_set_new(data, "attachments", list);
    }
}

static void set_body(json_t *data, const struct mail *mail) {
    bool is_kept = mail->text_size > MAIL_EVENT_TEXT_BYTES_MAX;
    set_text(data, is_kept ? "text_sha256" : "text", is_kept ? mail->text_sha256 : mail->text);
    json_object_set_new(data, "text_size", json_integer((json_int_t)mail->text_size));
    if (mail->text_cut) {
        json_object_set_new(data, "text_cut", json_true());
    }
    set_attachments(data, mail);
}

static const char *ref_of(const struct mail *mail) {
    return mail->message_id != NULL ? mail->message_id : mail->id;
}

static json_t *received_data(const struct mail *mail, const char *mailbox) {
    char date[CLOCK_TEXT_BYTES];
    json_t *data = json_object();
    set_text(data, "from", mail->from.address);
    set_text(data, "name", mail->from.name);
    set_text(data, "ref", ref_of(mail));
    set_text(data, "subject", mail->subject);
    set_addresses(data, "to", &mail->to);
    set_addresses(data, "cc", &mail->cc);
    set_addresses(data, "reply_to", &mail->reply_to);
    set_addresses(data, "delivered_to", &mail->delivered_to);
    set_text(data, "language", mail->language);
    set_text(data, "date", mail->has_date ? clock_format_rfc3339(mail->date_us, date) : NULL);
    set_text(data, "thread", mail->thread != NULL ? mail->thread : ref_of(mail));
    set_text(data, "contact_id", mail->contact_id);
    set_text(data, "in_reply_to", mail->in_reply_to);
    set_references(data, mail);
    set_text(data, "tag", mail->tag);
    set_text(data, "automatic", mail->automatic);
    set_text(data, "mailbox", mailbox);
    set_body(data, mail);
    return data;
}

static json_t *outcome_data(const struct mail *mail, const struct mail_report *report) {
    json_t *data = json_object();
    set_text(data, "outcome", report->outcome);
    set_text(data, "contact_id", mail->contact_id);
    set_text(data, "ref", mail->original);
    set_text(data, "status", report->status);
    set_text(data, "recipient", report->recipient);
    set_text(data, "thread", mail->thread);
    return data;
}

static json_t *consent_data(const char *address, const char *purpose, const char *proof) {
    json_t *data = json_object();
    set_text(data, "purpose", purpose);
    set_text(data, "address", address);
    set_text(data, "state", "withdrawn");
    set_text(data, "text_version", "list-unsubscribe");
    set_text(data, "channel", "email");
    set_text(data, "proof", proof);
    return data;
}

// ---- events

struct facts {
    const char *type, *id, *address; // whose it is; id and address may be NULL
    int64_t time_us;                 // 0: not known
};

// Takes data. The identity is left out where the broker could not take it.
static int make_event(const struct mail_conf *conf, const struct facts *facts, json_t *taken,
                      touchbus_event **ret) {
    _cleanup_json_ json_t *data = taken;
    _cleanup_(cleanup_event) touchbus_event *event =
        touchbus_event_new(facts->type, conf->source, facts->id);
    _cleanup_free_ void *bytes = NULL;
    size_t size;
    int r = event == NULL ? -ENOMEM : touchbus_event_set(event, "channel", "email");
    r = r != 0 ? r : touchbus_event_set(event, "direction", "in");
    r = r != 0 || facts->time_us == 0 ? r : touchbus_event_set_time(event, facts->time_us);
    if (r == 0 && facts->address != NULL && facts->address[0] != '\0') {
        r = touchbus_event_add_identity(event, "email", facts->address, false);
        r = r == -EINVAL || r == -E2BIG ? 0 : r;
    }
    r = r != 0 ? r : body_from_json(data, &bytes, &size);
    r = r != 0 ? r : touchbus_event_set_data(event, bytes, size);
    if (r == 0) {
        *ret = STEAL(event);
    }
    return r;
}

static int add_outcomes(const struct mail_conf *conf, const struct mail *mail, int64_t time_us,
                        struct mail_events *events) {
    int r = 0;
    for (size_t i = 0; r == 0 && i < mail->n_reports; i++) {
        const struct mail_report *report = &mail->reports[i];
        char id[EVENT_ID_BYTES];
        snprintf(id, sizeof(id), i == 0 ? "%s" : "%s-%zu", mail->id, i + 1);
        struct facts facts = {"message.outcome", id,
                              report->original_recipient[0] != '\0' ? report->original_recipient
                                                                    : report->recipient,
                              time_us};
        r = make_event(conf, &facts, outcome_data(mail, report), &events->list[i]);
        events->n += r == 0;
    }
    return r;
}

// A time of whole seconds means any moment of that second; a tie goes to the withdrawal.
static int64_t last_of_second(int64_t time_us) {
    return GUARD(mail_withdrawal_time) && time_us != 0 && time_us % CLOCK_US_PER_S == 0
               ? time_us + CLOCK_US_PER_S - 1
               : time_us;
}

static int add_consent(const struct mail_conf *conf, const struct mail *mail, int64_t time_us,
                       struct mail_events *events) {
    bool known = mail->token.known;
    const char *address = known ? mail->token.address : mail->from.address;
    struct facts facts = {"consent.changed", mail->id, address, last_of_second(time_us)};
    json_t *data = consent_data(address, known ? mail->token.purpose : conf->purpose,
                                known ? "token" : "sender");
    int r = make_event(conf, &facts, data, &events->list[0]);
    events->n += r == 0;
    return r;
}

static int add_received(const struct mail_conf *conf, const struct mail *mail, const char *mailbox,
                        int64_t time_us, struct mail_events *events) {
    struct facts facts = {"message.received", mail->id, mail->from.address, time_us};
    int r = make_event(conf, &facts, received_data(mail, mailbox), &events->list[0]);
    events->n += r == 0;
    return r;
}

int mail_events(const struct mail_conf *conf, const struct mail *mail, const char *mailbox,
                int64_t received_us, struct mail_events *ret) {
    struct mail_events events = {.n = 0};
    int64_t time_us = received_us != 0 ? received_us : mail->has_date ? mail->date_us : 0;
    int r = mail->kind == MAIL_BOUNCE && mail->original != NULL
                ? add_outcomes(conf, mail, time_us, &events)
            : mail->kind == MAIL_UNSUBSCRIBE ? add_consent(conf, mail, time_us, &events)
                                             : add_received(conf, mail, mailbox, time_us, &events);
    if (r != 0) {
        mail_events_clear(&events);
        return r;
    }
    *ret = events;
    return 0;
}

void mail_events_clear(struct mail_events *events) {
    for (size_t i = 0; i < events->n; i++) {
        touchbus_event_free(events->list[i]);
    }
    *events = (struct mail_events){.n = 0};
}

int mail_token_event(const struct mail_conf *conf, const struct mail_token *token,
                     int64_t received_us, touchbus_event **ret) {
    char id[MAIL_CLICK_ID_BYTES];
    if (mail_token_id(conf, token, received_us, id) != 0) {
        return -EINVAL;
    }
    struct facts facts = {"consent.changed", id, token->address, received_us};
    return make_event(conf, &facts, consent_data(token->address, token->purpose, "token"), ret);
}

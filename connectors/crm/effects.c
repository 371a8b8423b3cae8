// SPDX-License-Identifier: Apache-2.0
// The effects table. Every write is an upsert that keeps what is newer, so that the order of lanes
// does not matter: highest revision, latest time, highest rank.
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/crm/effects_private.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"

enum {
    ATTRIBUTES_MAX = 256,         // one event sets
    CLAMP_US = 300 * 1000 * 1000, // an event's time counts as at most this long after its receipt
};

int effects_mismatch(const struct effects_context *context, const char *what) {
    snprintf(context->why, STORE_WHY_BYTES, "%s", what);
    return EFFECTS_MISMATCH;
}

const char *effects_text(const struct effects_context *context, const char *name) {
    return json_string_value(json_object_get(context->data, name));
}

const char *effects_when(const struct store_event *event) {
    return event->time != NULL ? event->time : event->received;
}

static int64_t clamped_time(const struct store_event *event) {
    int64_t latest = event->received_us + CLAMP_US;
    return event->time_us < latest ? event->time_us : latest;
}

// ---- attributes

// Scalars as they are, lists and maps as JSON text; null says that the attribute was deleted.
static int write_attribute(const struct effects_context *context, const char *name,
                           const json_t *value) {
    const struct store_event *event = context->event;
    char format[] = "isiissin";
    char *value_format = &format[sizeof(format) - 2];
    int64_t customer = (int64_t)event->customer, rank = event->rank;
    int64_t time_us = clamped_time(event), sequence = (int64_t)event->sequence;
    _cleanup_free_ char *dumped = NULL;
    const char *as_text = json_string_value(value);
    if (json_is_object(value) || json_is_array(value)) {
        dumped = json_dumps(value, JSON_COMPACT);
        as_text = dumped;
    }
    *value_format = as_text != NULL ? 's' : json_is_real(value) ? 'd' : 'i';
    if (as_text != NULL) {
        return context->sql->run(context->sql, SQL_ATTRIBUTE, format, customer, name, rank, time_us,
                                 event->id, event->source, sequence, as_text);
    }
    if (json_is_real(value)) {
        return context->sql->run(context->sql, SQL_ATTRIBUTE, format, customer, name, rank, time_us,
                                 event->id, event->source, sequence, json_real_value(value));
    }
    *value_format = json_is_null(value) ? 'n' : 'i';
    int64_t number = json_is_boolean(value) ? json_is_true(value) : json_integer_value(value);
    return context->sql->run(context->sql, SQL_ATTRIBUTE, format, customer, name, rank, time_us,
                             event->id, event->source, sequence, number);
}

static int set_attributes(const struct effects_context *context, const char *member) {
    json_t *attributes = json_object_get(context->data, member);
    if (context->event->customer == 0) {
        return 0;
    }
    if (!json_is_object(attributes) || json_object_size(attributes) > ATTRIBUTES_MAX) {
        return effects_mismatch(context, "the attributes are no map, or too many");
    }
    const char *name;
    json_t *value;
    int code = 0;
    json_object_foreach(attributes, name, value) {
        code = code == 0 ? write_attribute(context, name, value) : code;
    }
    return code;
}

static int set_traits(const struct effects_context *context) {
    return set_attributes(context, "traits");
}

static int set_fields(const struct effects_context *context) {
    return set_attributes(context, "fields");
}

// ---- consents

static int change_consent(const struct effects_context *context) {
    const struct store_event *event = context->event;
    const char *purpose = effects_text(context, "purpose"),
               *address = effects_text(context, "address");
    const char *state = effects_text(context, "state"), *channel = effects_text(context, "channel");
    if (event->customer == 0) {
        return 0;
    }
    if (purpose == NULL || address == NULL || state == NULL) {
        return effects_mismatch(context, "purpose, address or state is missing");
    }
    return context->sql->run(context->sql, SQL_CONSENT, "isssssii", (int64_t)event->customer,
                             purpose, channel != NULL ? channel : "", address, state,
                             effects_text(context, "text_version"), clamped_time(event),
                             (int64_t)event->sequence);
}

// ---- who is one customer

// c42 -> 42; 0: none.
static int64_t customer_number(const json_t *value) {
    const char *written = json_string_value(value);
    if (written == NULL || written[0] != 'c' || written[1] < '1' || written[1] > '9') {
        return 0;
    }
    char *end;
    errno = 0;
    long long number = strtoll(written + 1, &end, 10);
    return errno == 0 && *end == '\0' ? number : 0;
}

// Merged points a leaf at the customer it became a part of, split takes that back; refused and
// shared change nothing here.
static int change_identity(const struct effects_context *context) {
    const char *kind = effects_text(context, "kind");
    bool is_merge = kind != NULL && strcmp(kind, "merged") == 0;
    if (!is_merge && (kind == NULL || strcmp(kind, "split") != 0)) {
        return 0;
    }
    int64_t leaf = customer_number(json_array_get(json_object_get(context->data, "from"), 0));
    int64_t into = customer_number(json_object_get(context->data, "to"));
    if (leaf == 0 || into == 0 || leaf == into) {
        return effects_mismatch(context, "from or to is no customer");
    }
    int64_t sequence = (int64_t)context->event->sequence;
    int code = context->sql->run(context->sql, SQL_MERGE_HISTORY, "iisiiss", sequence, leaf, kind,
                                 is_merge ? into : 0, into, effects_text(context, "reason"),
                                 effects_when(context->event));
    code = code == 0 ? context->sql->run(context->sql, SQL_MERGE, "iii", leaf, is_merge ? into : 0,
                                         sequence)
                     : code;
    return code == 0 ? context->sql->run(context->sql, SQL_MERGED, "i", leaf) : code;
}

static int change_standing(const struct effects_context *context) {
    const struct store_event *event = context->event;
    const char *what = effects_text(context, "what"), *new = effects_text(context, "new");
    if (event->customer == 0) {
        return 0;
    }
    return what == NULL || new == NULL
               ? effects_mismatch(context, "what or new is missing")
               : context->sql->run(context->sql, SQL_STANDING, "isssi", (int64_t)event->customer,
                                   what, new, effects_when(event), (int64_t)event->sequence);
}

// ---- contacts and cases

static int request_contact(const struct effects_context *context) {
    const struct store_event *event = context->event;
    const char *contact_id = effects_text(context, "contact_id");
    return contact_id == NULL
               ? effects_mismatch(context, "contact_id is missing")
               : context->sql->run(context->sql, SQL_CONTACT, "sisssi", contact_id,
                                   (int64_t)event->customer, effects_text(context, "content_id"),
                                   effects_text(context, "purpose"), effects_when(event),
                                   (int64_t)event->sequence);
}

static int decide_contact(const struct effects_context *context) {
    const struct store_event *event = context->event;
    const char *contact_id = effects_text(context, "contact_id");
    _cleanup_free_ char *reasons =
        json_dumps(json_object_get(context->data, "reasons"), JSON_COMPACT | JSON_ENCODE_ANY);
    return contact_id == NULL
               ? effects_mismatch(context, "contact_id is missing")
               : context->sql->run(context->sql, SQL_CONTACT_DECIDED, "sisssssi", contact_id,
                                   (int64_t)event->customer, effects_text(context, "content_id"),
                                   effects_text(context, "verdict"),
                                   effects_text(context, "channel"), reasons, effects_when(event),
                                   (int64_t)event->sequence);
}

// What became of a contact; of what was sent without being one nothing is kept but its own row.
static int end_contact(const struct effects_context *context) {
    const char *contact_id = effects_text(context, "contact_id"),
               *outcome = effects_text(context, "outcome");
    bool is_sent = strcmp(context->event->type, "message.sent") == 0;
    return contact_id == NULL
               ? 0
               : context->sql->run(context->sql, SQL_CONTACT_OUTCOME, "ssi", contact_id,
                                   is_sent ? "sent" : outcome, (int64_t)context->event->sequence);
}

static int open_case(const struct effects_context *context) {
    const struct store_event *event = context->event;
    const char *case_id = effects_text(context, "case_id");
    const json_t *severity = json_object_get(context->data, "severity");
    _cleanup_free_ char *dumped = json_dumps(severity, JSON_COMPACT | JSON_ENCODE_ANY);
    return case_id == NULL
               ? effects_mismatch(context, "case_id is missing")
               : context->sql->run(context->sql, SQL_CASE_OPENED, "sisssi", case_id,
                                   (int64_t)event->customer, effects_text(context, "kind"),
                                   json_is_string(severity) ? json_string_value(severity) : dumped,
                                   effects_when(event), (int64_t)event->sequence);
}

static int resolve_case(const struct effects_context *context) {
    const struct store_event *event = context->event;
    const char *case_id = effects_text(context, "case_id");
    return case_id == NULL
               ? effects_mismatch(context, "case_id is missing")
               : context->sql->run(context->sql, SQL_CASE_RESOLVED, "sissi", case_id,
                                   (int64_t)event->customer, effects_text(context, "outcome"),
                                   effects_when(event), (int64_t)event->sequence);
}

// ---- the table

static const struct effect {
    const char *type;
    int (*apply)(const struct effects_context *context);
} effects[] = {
    {"customer.identified", set_traits},
    {"customer.changed", set_fields},
    {"order.placed", effects_place_order},
    {"order.changed", effects_change_order},
    {"supply.changed", effects_change_supply},
    {"quote.issued", effects_issue_quote},
    {"quote.closed", effects_close_quote},
    {"consent.changed", change_consent},
    {"identity.changed", change_identity},
    {"standing.changed", change_standing},
    {"contact.requested", request_contact},
    {"contact.decided", decide_contact},
    {"message.sent", end_contact},
    {"message.outcome", end_contact},
    {"call.ended", end_contact},
    {"case.opened", open_case},
    {"case.resolved", resolve_case},
};

// The event's own row, whose it is, and by which keys.
static int write_rows(struct sql *sql, const struct store_event *event) {
    int64_t sequence = (int64_t)event->sequence, customer = (int64_t)event->customer;
    int code = sql->run(sql, SQL_INTERACTION, "iisssssssssss", sequence, customer, event->type,
                        event->channel, event->direction, event->source, event->id, event->time,
                        event->received, event->data, event->actor, event->cause, event->cost);
    if (code != 0 || customer == 0) {
        return code;
    }
    code = sql->run(sql, SQL_CUSTOMER, "iis", customer, sequence, effects_when(event));
    for (size_t i = 0; i < event->n_keys && code == 0; i++) {
        code = sql->run(sql, SQL_KEY, "ssii", event->keys[i].kind, event->keys[i].value, customer,
                        sequence);
    }
    return code;
}

int effects_score(struct sql *sql, const struct store_event *event) {
    return event->scores == NULL ? 0 : sql->run(sql, SQL_SCORE, "s", event->scores);
}

int effects_apply(struct sql *sql, const struct store_event *event, char *why) {
    int written = write_rows(sql, event);
    if (written != 0) {
        return written;
    }
    const struct effect *effect = NULL;
    for (size_t i = 0; i < sizeof(effects) / sizeof(effects[0]) && effect == NULL; i++) {
        effect = strcmp(effects[i].type, event->type) == 0 ? &effects[i] : NULL;
    }
    if (effect == NULL) {
        return 0;
    }
    struct effects_context context = {.sql = sql, .event = event, .why = why};
    json_t *data = event->data != NULL ? json_loads(event->data, JSON_ALLOW_NUL, NULL) : NULL;
    context.data = data;
    int code = json_is_object(data) ? effect->apply(&context)
                                    : effects_mismatch(&context, "data is no JSON object");
    json_decref(data);
    return code;
}

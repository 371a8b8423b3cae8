// SPDX-License-Identifier: Apache-2.0
// A body becomes events, the kit publishes or spools them, and the answer says which: 200 with a
// sequence once the broker has them, 202 once they are safe on this disk, 503 when in doubt (the
// sender repeats them under the same ids). One bad item never fails the others: it is put aside and
// named.
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "connectors/dialect/cloudevents_http.h"
#include "connectors/dialect/http.h"
#include "connectors/dialect/segment.h"
#include "connectors/web/web.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/reasons.h"

// ---- before

bool ingest_allowed(struct request *request, const char *key_of_body, enum web_purpose purpose) {
    static const struct {
        unsigned status;
        const char *why;
    } refusals[] = {
        [WEB_UNKNOWN_KEY] = {MHD_HTTP_UNAUTHORIZED, "this write key is not known here"},
        [WEB_NOT_ALLOWED] = {MHD_HTTP_FORBIDDEN, "not with this write key"},
        [WEB_TOO_OFTEN] = {MHD_HTTP_TOO_MANY_REQUESTS, "too many questions with this write key"},
    };
    char *key = request->key;
    const char *authorization = request_header(request, "Authorization");
    if (authorization != NULL && http_credential(authorization, key, sizeof(request->key)) != 0) {
        key[0] = '\0';
    }
    if (key[0] == '\0') {
        snprintf(key, sizeof(request->key), "%s", key_of_body);
    }
    enum web_verdict verdict =
        web_keys_judge(request->web->keys, key, purpose, clock_monotonic_us());
    if (verdict == WEB_ADMITTED) {
        return true;
    }
    answer_error(request, refusals[verdict].status, refusals[verdict].why);
    return false;
}

bool ingest_decode(struct request *request) {
    enum http_coding coding;
    if (http_coding_parse(request_header(request, "Content-Encoding"), &coding) != 0) {
        answer_error(request, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "Content-Encoding: wants gzip");
        return false;
    }
    if (coding == HTTP_IDENTITY || request->size == 0) {
        return true;
    }
    char *body;
    size_t size;
    int r =
        http_inflate(coding, request->body, request->size, WEB_INFLATED_BYTES_MAX, &body, &size);
    if (r == -E2BIG) {
        answer_error(request, MHD_HTTP_CONTENT_TOO_LARGE, "the body inflates beyond 8 MiB");
    } else if (r == -ENOMEM) {
        answer_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
    } else if (r != 0) {
        answer_error(request, MHD_HTTP_BAD_REQUEST, "the body is no whole gzip stream");
    }
    if (r != 0) {
        return false;
    }
    free(request->body);
    request->body = body;
    request->size = size;
    atomic_fetch_add(&request->web->bodies_bytes, size);
    request->charged += size;
    return true;
}

static void refuse_body(struct request *request, int r, const char *why) {
    if (r == -ENOMEM) {
        answer_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
    } else if (r == -E2BIG) {
        answer_error(request, MHD_HTTP_CONTENT_TOO_LARGE, "too many items in one body");
    } else {
        answer_error(request, r == -EPROTO ? MHD_HTTP_UNSUPPORTED_MEDIA_TYPE : MHD_HTTP_BAD_REQUEST,
                     why);
    }
}

// ---- to the kit and back

// On the loop thread. Keeps what ingest_finish needs and wakes the request.
static void on_answered(void *user, const struct kit_ack *acks, size_t n_acks) {
    struct request *request = user;
    for (size_t i = 0; i < n_acks; i++) {
        request->acks[i] = acks[i];
        request->details[i] = acks[i].detail[0] != '\0' ? strdup(acks[i].detail) : NULL;
    }
    struct MHD_Connection *connection = request->connection; // the request is its thread's now
    atomic_store(&request->answered, true);
    MHD_resume_connection(connection);
}

// The events of the items, which lose them. NULL where memory is short.
static touchbus_event **take_events(struct request *request) {
    size_t n = request->items.n;
    touchbus_event **events = calloc(n, sizeof(*events));
    request->sent = calloc(n, sizeof(*request->sent));
    request->acks = calloc(n, sizeof(*request->acks));
    request->details = calloc(n, sizeof(*request->details));
    if (events == NULL || request->sent == NULL || request->acks == NULL ||
        request->details == NULL) {
        free(events);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        struct item *item = &request->items.list[i];
        if (item->event != NULL) {
            events[request->n_sent] = STEAL(item->event);
            request->sent[request->n_sent++] = i;
        }
    }
    return events;
}

// Suspends the request; the answer may come before kit_submit returns, so that everything is ready
// for it before.
static void submit_events(struct request *request, touchbus_event **events) {
    size_t n = request->n_sent;
    request->submitted = true;
    MHD_suspend_connection(request->connection);
    int r = kit_submit(request->web->kit, events, n, 0, on_answered, request);
    if (r == 0) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        touchbus_event_free(events[i]);
    }
    answer_error(request, MHD_HTTP_SERVICE_UNAVAILABLE,
                 r == KIT_FULL ? "everything is full, come again" : "cannot take it now");
    MHD_resume_connection(request->connection);
}

static void submit(struct request *request) {
    if (request->items.n == 0) {
        ingest_finish(request);
        return;
    }
    _cleanup_free_ touchbus_event **events = take_events(request);
    if (events == NULL) {
        answer_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
    } else if (request->n_sent == 0) {
        ingest_finish(request);
    } else {
        submit_events(request, events);
    }
}

// ---- answers

struct outcome {
    uint64_t sequence;
    bool spooled, again;
    json_t *list;                       // what is put aside, for the answer
    struct kit_quarantined *quarantine; // what we must put aside ourselves
    size_t n_quarantine;
};

static void set_aside(struct outcome *outcome, const struct item *item, size_t index,
                      const char *reason, const char *detail, bool ourselves) {
    json_array_append_new(outcome->list,
                          json_pack("{s:I, s:s, s:s, s:s}", "index", (json_int_t)index, "id",
                                    item->id, "reason", reason, "detail", detail));
    if (ourselves) {
        outcome->quarantine[outcome->n_quarantine++] =
            (struct kit_quarantined){.id = item->id,
                                     .reason = detail[0] != '\0' ? detail : reason,
                                     .item = item->raw,
                                     .item_size = item->raw_size};
    }
}

static void weigh_acks(struct request *request, struct outcome *outcome) {
    for (size_t i = 0; i < request->n_sent; i++) {
        const struct kit_ack *ack = &request->acks[i];
        const struct item *item = &request->items.list[request->sent[i]];
        const char *detail = request->details[i] != NULL ? request->details[i] : "";
        outcome->spooled = outcome->spooled || ack->spooled;
        outcome->sequence = ack->sequence > outcome->sequence ? ack->sequence : outcome->sequence;
        if (ack->retryable) {
            outcome->again = true;
        } else if (ack->code >= REASON_QUARANTINED) { // by the broker, or refused: then by us
            set_aside(outcome, item, request->sent[i], ack->reason, detail,
                      ack->code > REASON_QUARANTINED);
        }
    }
}

static void weigh_bad_items(struct request *request, struct outcome *outcome) {
    for (size_t i = 0; i < request->items.n; i++) {
        const struct item *item = &request->items.list[i];
        if (item->why != NULL) {
            kit_count(request->web->kit, WEB_BAD_ITEMS, 1);
            set_aside(outcome, item, i, "unreadable", item->why, true);
        }
    }
}

// What nearly every answer is, without a tree of JSON; the same bytes.
static char *write_plain(uint64_t sequence) {
    char *text;
    int n = asprintf(&text, "{\"success\":true,\"sequence\":\"%" PRIu64 "\",\"quarantined\":[]}",
                     sequence);
    return n < 0 ? NULL : text;
}

static char *write_success(const struct outcome *outcome) {
    if (!outcome->spooled && outcome->sequence > 0 && json_array_size(outcome->list) == 0) {
        return write_plain(outcome->sequence);
    }
    json_t *json = json_pack("{s:b}", "success", 1);
    if (!outcome->spooled && outcome->sequence > 0) {
        char sequence[24];
        snprintf(sequence, sizeof(sequence), "%" PRIu64, outcome->sequence);
        json_object_set_new(json, "sequence", json_string(sequence));
    }
    json_object_set(json, "quarantined", outcome->list);
    char *text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    return text;
}

static void weigh(struct request *request, struct outcome *outcome) {
    weigh_acks(request, outcome);
    weigh_bad_items(request, outcome);
    if (outcome->again) {
        answer_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "come again");
    } else if (outcome->n_quarantine > 0 &&
               kit_quarantine(request->web->kit, outcome->quarantine, outcome->n_quarantine) != 0) {
        answer_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "nothing more can be put aside");
    } else {
        request->answer =
            (struct answer){.status = outcome->spooled ? MHD_HTTP_ACCEPTED : MHD_HTTP_OK,
                            .text = write_success(outcome)};
    }
}

void ingest_finish(struct request *request) {
    struct outcome outcome = {.list = json_array()};
    outcome.quarantine = calloc(request->items.n + 1, sizeof(*outcome.quarantine));
    if (outcome.list == NULL || outcome.quarantine == NULL) {
        answer_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
    } else {
        weigh(request, &outcome);
    }
    json_decref(outcome.list);
    free(outcome.quarantine);
}

// ---- the dialects

void ingest_segment(struct request *request) {
    const struct web_conf *conf = request->web->conf;
    const struct segment_request segment = {.call = request->route->call,
                                            .source = conf->source,
                                            .channel = conf->channel,
                                            .received_us = clock_now_us()};
    char write_key[SEGMENT_KEY_BYTES_MAX];
    const char *why;
    if (!ingest_decode(request)) {
        return;
    }
    int r = segment_parse(&segment, request->body != NULL ? request->body : "", request->size,
                          &request->items, write_key, &why);
    if (r != 0) {
        refuse_body(request, r, why);
    } else if (ingest_allowed(request, write_key, WEB_PUBLISH)) {
        submit(request);
    }
}

struct headers {
    struct cloudevents_header list[CLOUDEVENTS_ATTRIBUTES_MAX + 1];
    size_t n;
};

static enum MHD_Result take_header(void *user, enum MHD_ValueKind kind, const char *name,
                                   const char *value) {
    struct headers *headers = user;
    (void)kind;
    if (strncasecmp(name, "ce-", 3) == 0 && headers->n <= CLOUDEVENTS_ATTRIBUTES_MAX) {
        headers->list[headers->n++] =
            (struct cloudevents_header){.name = name, .value = value != NULL ? value : ""};
    }
    return MHD_YES;
}

// A question in the form of an event takes the right that the question takes.
static void judge_contacts(struct request *request) {
    for (size_t i = 0; i < request->items.n; i++) {
        struct item *item = &request->items.list[i];
        const char *type = item->event == NULL ? NULL : touchbus_event_get(item->event, "type");
        if (type != NULL && strcmp(type, "contact.requested") == 0 &&
            web_keys_judge(request->web->keys, request->key, WEB_CONTACT, clock_monotonic_us()) !=
                WEB_ADMITTED) {
            item->event = touchbus_event_free(item->event);
            item->why = "contact.requested: not with this write key";
        }
    }
}

void ingest_cloudevents(struct request *request) {
    struct headers headers = {.n = 0};
    const char *why;
    if (!ingest_allowed(request, "", WEB_PUBLISH) || !ingest_decode(request)) {
        return;
    }
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, take_header, &headers);
    const struct cloudevents_request cloudevents = {
        .content_type = request_header(request, "Content-Type"),
        .headers = headers.list,
        .n_headers = headers.n,
    };
    int r = cloudevents_http_parse(&cloudevents, request->body != NULL ? request->body : "",
                                   request->size, &request->items, &why);
    if (r != 0) {
        refuse_body(request, r, why);
    } else {
        judge_contacts(request);
        submit(request);
    }
}

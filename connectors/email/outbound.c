// SPDX-License-Identifier: Apache-2.0
#include "connectors/email/outbound.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/email/durable.h"
#include "connectors/email/record.h"
#include "connectors/email/report.h"
#include "connectors/email/sending.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"

struct outbound {
    const struct outbound_options *options;
    int records_fd;
    struct reports *reports;
    struct sending *sending; // NULL: it sends nothing
};

static void cleanup_json(json_t **json) {
    json_decref(*json);
}

static bool is(const char *a, const char *b) {
    return strcmp(a, b) == 0;
}

static json_t *data_of(const touchbus_event *event) {
    _cleanup_free_ char *text = touchbus_event_data_json(event);
    json_t *data = text == NULL ? NULL : json_loads(text, 0, NULL);
    return data != NULL ? data : json_object();
}

static void disk_trouble(struct kit_result *result, int r) {
    kit_result(result, KIT_AWAY, "state folder: %s", strerror(-r));
}

// ---- contact.requested

// Takes the request's words for when it is decided. What a contact already became stays; one that
// is asked again without words keeps those it had.
static void requested(struct outbound *outbound, const touchbus_event *event, const json_t *data,
                      struct kit_result *result) {
    const char *contact_id = record_text(data, "contact_id");
    const char *owner = touchbus_event_get(event, "customer");
    _cleanup_(cleanup_json) json_t *record = NULL;
    int r = record_load(outbound->records_fd, contact_id, &record);
    bool known = r == 0 &&
                 (!is(record_text(record, "state"), "asked") || *record_text(data, "text") == '\0');
    if (r >= 0 && !known) {
        json_decref(record);
        record = json_pack("{s:s, s:s, s:s, s:O}", "contact_id", contact_id, "owner",
                           owner != NULL ? owner : "", "state", "asked", "request", data);
        r = record == NULL ? -ENOMEM : record_save(outbound->records_fd, record);
    }
    if (r < 0) {
        disk_trouble(result, r);
    } else {
        kit_result(result, KIT_DELIVERED, "%s", "");
    }
}

// ---- contact.decided

// A record of a contact whose request never came here.
static json_t *make_record(const touchbus_event *event, const json_t *data) {
    const char *owner = touchbus_event_get(event, "customer");
    return json_pack("{s:s, s:s, s:s}", "contact_id", record_text(data, "contact_id"), "owner",
                     owner != NULL ? owner : "", "state", "asked");
}

static void decided(struct outbound *outbound, const touchbus_event *event, const json_t *data,
                    struct kit_result *result) {
    const char *contact_id = record_text(data, "contact_id"),
               *verdict = record_text(data, "verdict");
    _cleanup_(cleanup_json) json_t *record = NULL;
    int r = record_load(outbound->records_fd, contact_id, &record);
    const char *state = r == 0 ? record_text(record, "state") : "asked";
    bool open = is(state, "asked") || (is(state, "handing") && !record_waits(record));
    kit_result(result, KIT_DELIVERED, "%s", "");
    if (r < 0) {
        disk_trouble(result, r);
    } else if (GUARD(mail_once) && !open) { // done already
        kit_count(outbound->options->kit, outbound->options->repeats_counter, 1);
    } else if (is(verdict, "approved") && is(record_text(data, "channel"), "email")) {
        record = record != NULL ? record : make_record(event, data);
        struct decision decision = {.customer = touchbus_event_get(event, "customer"),
                                    .sequence = touchbus_event_sequence(event),
                                    .time_us = touchbus_event_received(event),
                                    .data = data};
        if (record == NULL) {
            kit_result(result, KIT_AWAY, "no memory");
        } else {
            sending_contact(outbound->sending, record, &decision, result);
        }
    } else if (r == 0 && !is(verdict, "deferred") && is(state, "asked")) {
        r = record_remove(outbound->records_fd, contact_id);
        if (r < 0) {
            disk_trouble(result, r);
        }
    }
}

// ---- message.received, of our own: whose the bodies are

static int own(struct outbound *outbound, const char *customer, const json_t *object,
               const char *member) {
    const char *sha256 = record_text(object, member);
    return *sha256 == '\0' ? 0 : bodies_own(outbound->options->bodies, sha256, customer);
}

static void received(struct outbound *outbound, const touchbus_event *event, const json_t *data,
                     struct kit_result *result) {
    const char *customer = touchbus_event_get(event, "customer");
    const json_t *attachments = json_object_get(data, "attachments");
    int r = 0;
    if (customer != NULL && is(touchbus_event_get(event, "source"), outbound->options->source)) {
        r = own(outbound, customer, data, "text_sha256");
        for (size_t i = 0; r == 0 && i < json_array_size(attachments); i++) {
            r = own(outbound, customer, json_array_get(attachments, i), "sha256");
        }
    }
    if (r < 0) {
        disk_trouble(result, r);
    } else {
        kit_result(result, KIT_DELIVERED, "%s", "");
    }
}

// ---- delivering

static void erase(struct outbound *outbound, const touchbus_event *event,
                  struct kit_result *result) {
    const char *customer = touchbus_event_get(event, "customer");
    int r = customer == NULL ? 0 : records_erase(outbound->records_fd, customer);
    r = r != 0 || customer == NULL ? r : bodies_erase(outbound->options->bodies, customer);
    if (r < 0) {
        disk_trouble(result, r);
    } else {
        kit_result(result, KIT_DELIVERED, "%s", "");
    }
}

static const struct {
    const char *type;
    void (*handle)(struct outbound *outbound, const touchbus_event *event, const json_t *data,
                   struct kit_result *result);
    bool sends; // nothing to do for who only receives
} handlers[] = {{"contact.requested", requested, true},
                {"contact.decided", decided, true},
                {"message.received", received, false}};

static void deliver_one(struct outbound *outbound, const touchbus_event *event,
                        struct kit_result *result) {
    if (touchbus_event_erases(event)) {
        erase(outbound, event, result);
        return;
    }
    kit_result(result, KIT_DELIVERED, "%s", "");
    if (touchbus_event_redacted(event)) {
        return;
    }
    for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
        if (is(handlers[i].type, touchbus_event_get(event, "type")) &&
            (outbound->sending != NULL || !handlers[i].sends)) {
            _cleanup_(cleanup_json) json_t *data = data_of(event);
            handlers[i].handle(outbound, event, data, result);
        }
    }
}

void outbound_deliver(struct outbound *outbound, touchbus_event *const *events, size_t n_events,
                      struct kit_result *results) {
    for (size_t i = 0; i < n_events; i++) {
        deliver_one(outbound, events[i], &results[i]);
        kit_beat(outbound->options->kit);
    }
}

int outbound_collect(struct outbound *outbound) {
    int r = reports_carry_on(outbound->reports);
    return r != 0 || outbound->sending == NULL ? r : sending_carry_on(outbound->sending);
}

int outbound_expire(struct outbound *outbound, int64_t before_us) {
    return records_expire(outbound->records_fd, before_us);
}

// ---- life

int outbound_open(const struct outbound_options *options, struct outbound **ret) {
    struct outbound *outbound = calloc(1, sizeof(*outbound));
    if (outbound == NULL) {
        return -ENOMEM;
    }
    outbound->options = options;
    outbound->records_fd = -1;
    _cleanup_(cleanup_fd) int fd =
        open(kit_folder(options->kit), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd < 0 ? -errno : records_open(fd);
    if (r >= 0) {
        outbound->records_fd = r;
        r = reports_new(options->kit, outbound->records_fd, options->source, &outbound->reports);
    }
    if (r == 0 && options->smtp != NULL) {
        r = sending_open(options, outbound->records_fd, outbound->reports, &outbound->sending);
    }
    if (r < 0) {
        outbound_close(outbound);
        return r;
    }
    *ret = outbound;
    return 0;
}

struct outbound *outbound_close(struct outbound *outbound) {
    if (outbound != NULL) {
        sending_close(outbound->sending);
        reports_free(outbound->reports);
        cleanup_fd(&outbound->records_fd);
        free(outbound);
    }
    return NULL;
}

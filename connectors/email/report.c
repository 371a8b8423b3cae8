// SPDX-License-Identifier: Apache-2.0
#include "connectors/email/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/email/item.h"
#include "connectors/email/record.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/base/logging.h"

enum {
    SETTLED_CODE_MAX = 99, // reasons.def: above it a refusal
    LOOK_MS = 5000,        // all records are looked at this often at most
};

struct reports {
    struct kit *kit;
    int records_fd;
    const char *source;
    bool open; // some record may wait
    int64_t look_us;
};

struct report {
    struct item item;
    char *contact_id;
};

static const struct {
    const char *state, *type, *direction, *prefix;
} kinds[] = {
    {"handed", "message.sent", "out", "sent"},
    {"failed", "message.outcome", "in", "failed"},
};

static void cleanup_json(json_t **json) {
    json_decref(*json);
}

int reports_new(struct kit *kit, int records_fd, const char *source, struct reports **ret) {
    struct reports *reports = calloc(1, sizeof(*reports));
    if (reports == NULL) {
        return -ENOMEM;
    }
    *reports =
        (struct reports){.kit = kit, .records_fd = records_fd, .source = source, .open = true};
    *ret = reports;
    return 0;
}

struct reports *reports_free(struct reports *reports) {
    free(reports);
    return NULL;
}

static void report_free(struct report *report) {
    if (report != NULL) {
        free(report->contact_id);
        free(report);
    }
}

// What is left is no more than that it was told: nothing of the recipient.
static int forget_details(int records_fd, json_t *record) {
    json_object_del(record, "request");
    json_object_del(record, "sent");
    json_object_del(record, "outcome");
    json_object_del(record, "waiting");
    return json_object_set_new(record, "state", json_string("told")) != 0
               ? -ENOMEM
               : record_save(records_fd, record);
}

static void settled(struct item *item, const struct kit_ack *ack) {
    struct report *report = (struct report *)(void *)item;
    struct reports *reports = item->owner;
    _cleanup_(cleanup_json) json_t *record = NULL;
    if (ack->code > SETTLED_CODE_MAX) { // the kit counts it; another try would be refused as well
        logging_error("report=refused reason=%s", ack->reason);
    }
    int r = record_load(reports->records_fd, report->contact_id, &record);
    r = r == 0 ? forget_details(reports->records_fd, record) : r;
    if (r < 0) { // told again after the next start
        logging_error("contact-record cannot be written error=\"%s\"", strerror(-r));
    }
    report_free(report);
}

static touchbus_event *make_event(const struct reports *reports, const json_t *record,
                                  size_t kind) {
    char name[RECORD_NAME_BYTES], id[RECORD_NAME_BYTES + 16];
    const json_t *data = json_object_get(record, kind == 0 ? "sent" : "outcome");
    _cleanup_free_ char *text = json_dumps(data, JSON_COMPACT);
    record_name(record_text(record, "contact_id"), name);
    snprintf(id, sizeof(id), "%s-%s", kinds[kind].prefix, name);
    touchbus_event *event = touchbus_event_new(kinds[kind].type, reports->source, id);
    if (event == NULL || text == NULL || touchbus_event_set(event, "channel", "email") != 0 ||
        touchbus_event_set(event, "direction", kinds[kind].direction) != 0 ||
        touchbus_event_set_time(event, json_integer_value(json_object_get(record, "time_us"))) !=
            0 ||
        touchbus_event_set_data_json(event, text, strlen(text)) != 0) {
        return touchbus_event_free(event);
    }
    return event;
}

int reports_publish(struct reports *reports, const json_t *record) {
    size_t kind = 0;
    while (kind < 2 && strcmp(kinds[kind].state, record_text(record, "state")) != 0) {
        kind++;
    }
    if (kind == 2) {
        return 0;
    }
    struct report *report = calloc(1, sizeof(*report));
    touchbus_event *event = make_event(reports, record, kind);
    if (report == NULL || event == NULL) {
        touchbus_event_free(event);
        free(report);
        return -ENOMEM;
    }
    report->item = (struct item){settled, reports};
    report->contact_id = strdup(record_text(record, "contact_id"));
    int r = report->contact_id == NULL ? -ENOMEM : kit_publish(reports->kit, event, report);
    if (r != 0) {
        touchbus_event_free(event);
        report_free(report);
        reports->open = true;
    }
    return r;
}

static int publish_one(void *user, json_t *record) {
    int r = reports_publish(user, record);
    return r == KIT_FULL ? -EAGAIN : r;
}

int reports_carry_on(struct reports *reports) {
    int64_t now_us = clock_monotonic_us();
    if (!reports->open || now_us < reports->look_us) {
        return 0;
    }
    reports->look_us = now_us + LOOK_MS * CLOCK_US_PER_MS;
    reports->open = false;
    int r = records_each(reports->records_fd, publish_one, reports);
    reports->open = reports->open || r != 0;
    return r == -EAGAIN ? 0 : r;
}

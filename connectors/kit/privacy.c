// SPDX-License-Identifier: Apache-2.0
// Persons who were erased, in a connector that keeps things by itself: a durable subscription
// privacy.NAME brings each erasure, on a thread of its own, as the broker is asked and waited for.
// It is settled when the spool's files of before are gone and the quarantine names the person no
// more; a connector that was off meanwhile does so at its next start. Nothing is settled for having
// been tried.
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/kit/private.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/base/logging.h"

struct privacy {
    struct kit *kit;
    pthread_t thread;
    atomic_bool stop, reload_keys;
    char refused[NAME_BYTES_MAX]; // the reason that was logged, "" none
    char name[NAME_BYTES_MAX + 1];
    touchbus_subscriber *subscriber; // NULL while refused
    touchbus_client *client;         // while it asks
    int64_t resubscribe_us;

    touchbus_event *events[PRIVACY_EVENTS_MAX]; // not settled
    size_t n_events;
    bool is_due;        // there is something to carry out
    uint64_t lost_last; // retention took erasures away before they came here
    int64_t retry_ms, retry_us;
    uint64_t flush; // of the spool, 0 none is under way

    uint64_t checked; // quarantine rows below this place were looked at since the last erasure
    int64_t check_us;
};

// ---- asking

static char *make_question(const struct kit_identity *identities, size_t n_identities) {
    json_t *list = json_array();
    for (size_t i = 0; i < n_identities; i++) {
        json_t *value = json_string(identities[i].value); // NULL: no UTF-8, so nobody's
        json_array_append_new(list, json_pack("{s:s, s:o}", "kind", identities[i].kind, "value",
                                              value != NULL ? value : json_string("")));
    }
    json_t *body = json_pack("{s:o}", "identities", list);
    char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    json_decref(body);
    return text;
}

static int read_answer(const touchbus_answer *answer, size_t n_identities, bool *ret) {
    if (touchbus_answer_code(answer) != 0) {
        logging_debug("tombstoned=refused reason=%s", touchbus_answer_reason(answer));
        return -EAGAIN;
    }
    json_t *json = json_loads(touchbus_answer_json(answer), 0, NULL);
    const json_t *list = json_object_get(json, "tombstoned");
    int r = json_array_size(list) == n_identities ? 0 : -EBADMSG;
    for (size_t i = 0; r == 0 && i < n_identities; i++) {
        ret[i] = json_is_true(json_array_get(list, i));
    }
    json_decref(json);
    return r;
}

static int open_client(const struct kit *kit, touchbus_client **ret) {
    const struct kit_conf *conf = kit->settings.kit;
    const touchbus_client_options options = {
        .broker = conf->broker, .key = conf->key, .broker_key = conf->broker_key};
    return touchbus_client_new(&options, ret);
}

static int query(touchbus_client *client, const struct kit_identity *identities,
                 size_t n_identities, bool *ret) {
    touchbus_answer *answer = NULL;
    _cleanup_free_ char *question = make_question(identities, n_identities);
    int r = question == NULL
                ? -ENOMEM
                : touchbus_client_query(client, "customer.tombstoned", NULL, 0, question, 0,
                                        TOMBSTONED_ANSWER_MS, NULL, NULL, &answer);
    r = r == 0 ? read_answer(answer, n_identities, ret) : r;
    touchbus_answer_free(answer);
    return r;
}

int kit_tombstoned(struct kit *kit, const struct kit_identity *identities, size_t n_identities,
                   bool *ret) {
    touchbus_client *client = NULL;
    if (n_identities == 0 || n_identities > KIT_TOMBSTONED_MAX) {
        return n_identities == 0 ? 0 : -EINVAL;
    }
    int r = open_client(kit, &client);
    r = r == 0 ? query(client, identities, n_identities, ret) : r;
    touchbus_client_free(client);
    return r;
}

// For the quarantine: over one connection, and the subscription is kept alive meanwhile.
static int ask(void *user, const struct kit_identity *identities, size_t n_identities, bool *ret) {
    struct privacy *privacy = user;
    if (atomic_load(&privacy->stop)) {
        return -ESHUTDOWN;
    }
    if (privacy->subscriber != NULL) {
        touchbus_subscriber_run(privacy->subscriber);
    }
    int r = privacy->client != NULL ? 0 : open_client(privacy->kit, &privacy->client);
    return r == 0 ? query(privacy->client, identities, n_identities, ret) : r;
}

static int purge(struct privacy *privacy, uint64_t *ret_unchecked) {
    int r =
        quarantine_purge(privacy->kit->quarantine, &privacy->checked, ask, privacy, ret_unchecked);
    privacy->client = touchbus_client_free(privacy->client);
    return r;
}

// ---- the subscription

static void drop_events(struct privacy *privacy) {
    for (size_t i = 0; i < privacy->n_events; i++) {
        touchbus_event_free(privacy->events[i]);
    }
    privacy->n_events = 0;
}

static void subscribe(struct privacy *privacy, int64_t now_us) {
    static const char *const types[] = {PRIVACY_TYPE, NULL};
    const struct kit_conf *conf = privacy->kit->settings.kit;
    touchbus_subscriber_options options = {.broker = conf->broker,
                                           .key = conf->key,
                                           .broker_key = conf->broker_key,
                                           .name = privacy->name,
                                           .types = types,
                                           .start = TOUCHBUS_START_BEGINNING};
    if (privacy->subscriber != NULL || now_us < privacy->resubscribe_us) {
        return;
    }
    drop_events(privacy); // of the subscription that was: they come again
    privacy->resubscribe_us = now_us + RESUBSCRIBE_MS * CLOCK_US_PER_MS;
    int r = touchbus_subscriber_new(&options, &privacy->subscriber);
    if (r != 0) {
        logging_error("subscription=%s error=%s", privacy->name, strerror(-r));
    }
}

// Asked again, slowly, and told once, as an operator has to mend it.
static void refused(struct privacy *privacy) {
    const char *reason, *detail, *hint;
    touchbus_subscriber_refusal(privacy->subscriber, &reason, &detail, &hint);
    if (strcmp(privacy->refused, reason) != 0) {
        logging_error("subscription=%s refused=%s detail=\"%s\" hint=\"%s\"", privacy->name, reason,
                      detail, hint);
        snprintf(privacy->refused, sizeof(privacy->refused), "%s", reason);
    }
    privacy->subscriber = touchbus_subscriber_free(privacy->subscriber);
}

static void tend(struct privacy *privacy) {
    if (atomic_exchange(&privacy->reload_keys, false)) {
        int r = touchbus_subscriber_reload_keys(privacy->subscriber);
        if (r != 0) {
            logging_error("subscription=%s cannot=reload-keys error=%s", privacy->name,
                          strerror(-r));
        }
    }
    if (touchbus_subscriber_connected(privacy->subscriber)) {
        privacy->refused[0] = '\0';
    }
}

// What retention removed before it came here may have been erasures: then everything is looked
// through, as if there had been one.
static void watch_losses(struct privacy *privacy) {
    touchbus_progress progress;
    touchbus_subscriber_progress(privacy->subscriber, &progress);
    if (progress.lost_last > privacy->lost_last) {
        logging_warning("subscription=%s lost_first=%" PRIu64 " lost_last=%" PRIu64
                        " reason=retention",
                        privacy->name, progress.lost_first, progress.lost_last);
        privacy->lost_last = progress.lost_last;
        privacy->is_due = true;
    }
}

static void take(struct privacy *privacy) {
    int wait_ms = privacy->n_events > 0 ? 0 : PRIVACY_LOOK_MS;
    while (privacy->n_events < PRIVACY_EVENTS_MAX && !atomic_load(&privacy->stop)) {
        touchbus_event *event;
        int r = touchbus_subscriber_next(privacy->subscriber, wait_ms, &event);
        if (r == TOUCHBUS_REFUSED) {
            refused(privacy);
            return;
        }
        if (r != 1) {
            break;
        }
        wait_ms = 0;
        if (touchbus_event_erases(event)) {
            privacy->events[privacy->n_events++] = event;
            privacy->is_due = true;
        } else {
            touchbus_subscriber_delivered(privacy->subscriber, event);
            touchbus_event_free(event);
        }
    }
    watch_losses(privacy);
}

// ---- carrying out

static void settle(struct privacy *privacy) {
    for (size_t i = 0; i < privacy->n_events; i++) {
        logging_info("sequence=%" PRIu64 " erasure=done",
                     touchbus_event_sequence(privacy->events[i]));
        touchbus_subscriber_delivered(privacy->subscriber, privacy->events[i]);
    }
    drop_events(privacy);
    privacy->is_due = false;
    privacy->flush = 0;
    privacy->retry_ms = 0;
}

// The spool first: what the broker refuses of it goes to the quarantine.
static int clear(struct privacy *privacy) {
    struct kit *kit = privacy->kit;
    uint64_t unchecked = 0;
    if (privacy->flush == 0) {
        privacy->flush = publishing_flush(kit->publishing);
    }
    if (!publishing_flushed(kit->publishing, privacy->flush)) {
        return -EINPROGRESS;
    }
    privacy->checked = 0;
    int r = purge(privacy, &unchecked);
    if (r == 0) {
        metric_set(&kit->metrics, METRIC_QUARANTINE_UNCHECKED, unchecked);
    }
    return r;
}

static void carry_out(struct privacy *privacy, int64_t now_us) {
    metric_set(&privacy->kit->metrics, METRIC_ERASURES_OPEN,
               privacy->n_events > 0 ? privacy->n_events : privacy->is_due);
    if (!privacy->is_due || now_us < privacy->retry_us) {
        return;
    }
    size_t n_events = privacy->n_events;
    int r = clear(privacy);
    if (r == -EINPROGRESS) {
        return;
    }
    if (r != 0) {
        privacy->retry_ms = privacy->retry_ms == 0 ? PRIVACY_RETRY_MS_MIN : 2 * privacy->retry_ms;
        if (privacy->retry_ms > PRIVACY_RETRY_MS_MAX) {
            privacy->retry_ms = PRIVACY_RETRY_MS_MAX;
        }
        privacy->retry_us = now_us + privacy->retry_ms * CLOCK_US_PER_MS;
        logging_warning("erasure=pending events=%zu error=%s retry_ms=%lld", n_events, strerror(-r),
                        (long long)privacy->retry_ms);
        return;
    }
    settle(privacy);
    metric_set(&privacy->kit->metrics, METRIC_ERASURES_OPEN, 0);
}

// A sender may still come with a broken item of somebody who is gone: what was put aside since is
// looked at every hour.
static void check_late(struct privacy *privacy, int64_t now_us) {
    uint64_t ignored;
    if (now_us < privacy->check_us) {
        return;
    }
    privacy->check_us = now_us + PRIVACY_CHECK_MS * CLOCK_US_PER_MS;
    if (kit_connected(privacy->kit)) {
        (void)purge(privacy, &ignored);
    }
}

static void *run(void *user) {
    struct privacy *privacy = user;
    while (!atomic_load(&privacy->stop)) {
        int64_t now_us = clock_monotonic_us();
        subscribe(privacy, now_us);
        if (privacy->subscriber == NULL) {
            struct timespec pause = {.tv_nsec = PRIVACY_LOOK_MS * 1000000L};
            nanosleep(&pause, NULL);
            continue;
        }
        tend(privacy);
        // A batch is closed while it is carried out: a later erasure has its own flush.
        if (privacy->flush == 0) {
            take(privacy);
        } else {
            touchbus_subscriber_run(privacy->subscriber);
            struct timespec pause = {.tv_nsec = 20 * 1000000L};
            nanosleep(&pause, NULL);
        }
        if (privacy->subscriber != NULL) {
            carry_out(privacy, now_us);
            check_late(privacy, now_us);
        }
    }
    drop_events(privacy);
    touchbus_subscriber_free(privacy->subscriber);
    return NULL;
}

int privacy_start(struct kit *kit, struct privacy **ret) {
    struct privacy *privacy = calloc(1, sizeof(*privacy));
    if (privacy == NULL) {
        return -ENOMEM;
    }
    privacy->kit = kit;
    privacy->check_us = clock_monotonic_us() + PRIVACY_CHECK_MS * CLOCK_US_PER_MS;
    snprintf(privacy->name, sizeof(privacy->name), "privacy.%s", kit_name(kit));
    int r = -pthread_create(&privacy->thread, NULL, run, privacy);
    if (r != 0) {
        free(privacy);
        return r;
    }
    *ret = privacy;
    return 0;
}

struct privacy *privacy_stop(struct privacy *privacy) {
    if (privacy != NULL) {
        atomic_store(&privacy->stop, true);
        pthread_join(privacy->thread, NULL);
        free(privacy);
    }
    return NULL;
}

void privacy_reload_keys(struct privacy *privacy) {
    atomic_store(&privacy->reload_keys, true);
}

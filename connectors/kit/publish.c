// SPDX-License-Identifier: Apache-2.0
// Events on their way to the broker, on the loop thread. What the broker has not answered in time
// goes to the spool and is answered as spooled; the publisher keeps what it already has, so the
// same event may arrive both ways: the broker knows it by source and id.
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "connectors/kit/publishing.h"
#include "schemas/base/clock.h"
#include "schemas/base/logging.h"
#include "schemas/reasons.h"

static void count_ack(struct publishing *publishing, const struct kit_ack *ack, bool duplicate) {
    struct metrics *metrics = &publishing->kit->metrics;
    if (ack->code == REASON_OK || ack->code == REASON_DUPLICATE ||
        ack->code == REASON_QUARANTINED) {
        metric_add(metrics, METRIC_PUBLISHED, 1);
        metric_add(metrics, METRIC_DUPLICATES, duplicate ? 1 : 0);
        metric_add(metrics, METRIC_QUARANTINED, ack->code == REASON_QUARANTINED ? 1 : 0);
    } else {
        metric_add(metrics, METRIC_REFUSED, 1);
    }
}

static void on_ack(const touchbus_ack *acked, void *user) {
    struct publishing *publishing = user;
    struct entry *entry = acked->tag;
    if (acked->code == REASON_FENCED) { // it keeps everything, and says so by ending
        publishing->fenced = true;
        return;
    }
    struct kit_ack ack = {.code = acked->code,
                          .reason = acked->reason,
                          .detail = acked->detail,
                          .hint = acked->hint,
                          .retryable = acked->retryable,
                          .sequence = acked->sequence,
                          .customer = acked->customer,
                          .verdict = acked->verdict};
    bool refused = acked->code > REASON_QUARANTINED;
    entries_remove(&publishing->flying, entry);
    count_ack(publishing, &ack, acked->duplicate);
    if (refused && entry->submission == NULL && entry->item == NULL) {
        publishing_set_aside(publishing, entry, &ack);
    }
    if (entry->record != 0) {
        publishing->n_replaying--;
        spool_ack(publishing->spool, entry->record);
    }
    publishing_answer(publishing, entry, &ack);
    entry_free(entry);
}

// ---- rounds

static void place(struct publishing *publishing, struct submission *submission) {
    struct entry **entries = submission->entries;
    size_t n = submission->n_entries;
    // Nobody wants a verdict later: without a broker it is not even asked for.
    bool away = submission->never_spool && !touchbus_publisher_connected(publishing->publisher);
    submission->entries = NULL; // they answer for themselves; with the last of them it is gone
    for (size_t i = 0; i < n; i++) {
        struct entry *entry = entries[i];
        if (entry->code == 0 && away) {
            entry->code = REASON_UNAVAILABLE;
        }
        if (entry->code == 0) {
            entries_push(&publishing->waiting, entry);
            continue;
        }
        struct kit_ack ack = publishing_refusal(entry->code);
        metric_add(&publishing->kit->metrics, METRIC_REFUSED, 1);
        publishing_answer(publishing, entry, &ack);
        entry_free(entry);
    }
}

static void take_submissions(struct publishing *publishing) {
    while (publishing->waiting.n + publishing->flying.n < KIT_IN_FLIGHT_MAX ||
           spooling_active(publishing)) {
        struct submission *submission = submissions_take(publishing);
        if (submission == NULL) {
            return;
        }
        place(publishing, submission);
    }
}

// False: the publisher takes no more now.
bool publishing_publish(struct publishing *publishing, struct entry *entry) {
    entries_push(&publishing->flying, entry);
    int r = touchbus_publisher_publish(publishing->publisher, entry->event, entry);
    if (r == 0) {
        return true;
    }
    if (r == TOUCHBUS_FULL || r == -ENOMEM) {
        entries_remove(&publishing->flying, entry);
        entries_push_front(&publishing->waiting, entry);
        return false;
    }
    touchbus_ack ack = {
        .tag = entry, .code = r == -E2BIG ? REASON_TOO_LARGE : REASON_BAD_ARGUMENT, .detail = ""};
    ack.reason = reason_find(ack.code)->name;
    ack.hint = reason_find(ack.code)->hint;
    on_ack(&ack, publishing);
    return true;
}

static bool publish_waiting(struct publishing *publishing) {
    for (struct entry *entry; (entry = publishing->waiting.first) != NULL;) {
        entries_remove(&publishing->waiting, entry);
        if (!publishing_publish(publishing, entry)) {
            return false;
        }
    }
    return true;
}

// The oldest is first in flying, else in waiting: submissions come in order.
static int64_t next_deadline(const struct entry_list *list) {
    for (const struct entry *entry = list->first; entry != NULL; entry = entry->next) {
        if (entry->deadline_us != INT64_MAX) {
            return entry->deadline_us;
        }
    }
    return INT64_MAX;
}

static void answer_unavailable(struct publishing *publishing, struct entry_list *list,
                               int64_t until_us) {
    struct kit_ack unavailable = publishing_refusal(REASON_UNAVAILABLE);
    for (struct entry *entry = list->first, *next; entry != NULL; entry = next) {
        next = entry->next;
        if (!entry->answered && entry->deadline_us <= until_us) {
            publishing_answer(publishing, entry, &unavailable);
        }
    }
}

static void watch_deadlines(struct publishing *publishing, int64_t now_us) {
    int64_t flying = next_deadline(&publishing->flying);
    int64_t waiting = next_deadline(&publishing->waiting);
    if (flying > now_us && waiting > now_us) {
        return;
    }
    if (publishing->spool != NULL) {
        spooling_catch(publishing);
    }
    answer_unavailable(publishing, &publishing->flying, now_us);
    answer_unavailable(publishing, &publishing->waiting, now_us);
}

static void show(struct publishing *publishing) {
    struct metrics *metrics = &publishing->kit->metrics;
    metric_set(metrics, METRIC_IN_FLIGHT, publishing->waiting.n + publishing->flying.n);
    if (publishing->spool == NULL) {
        return;
    }
    metric_set(metrics, METRIC_SPOOL_RECORDS, spool_records(publishing->spool));
    metric_set(metrics, METRIC_SPOOL_BYTES, spool_bytes(publishing->spool));
    pthread_mutex_lock(&publishing->lock);
    publishing->spool_full = !spool_has_room(publishing->spool, 1, EVENT_BYTES_MAX);
    pthread_mutex_unlock(&publishing->lock);
}

int64_t publishing_run(struct publishing *publishing, int64_t now_us) {
    take_submissions(publishing);
    touchbus_publisher_run(publishing->publisher, 0);
    spooling_route(publishing);
    if (publish_waiting(publishing) && publishing->spool != NULL) {
        spooling_replay(publishing);
    }
    touchbus_publisher_run(publishing->publisher, 0);
    spooling_flush(publishing);
    watch_deadlines(publishing, now_us);
    show(publishing);
    int64_t flying = next_deadline(&publishing->flying);
    int64_t waiting = next_deadline(&publishing->waiting);
    return flying < waiting ? flying : waiting;
}

uint64_t publishing_flush(struct publishing *publishing) {
    uint64_t flush = atomic_fetch_add(&publishing->flush_asked, 1) + 1;
    eventfd_write(publishing->kit->wake_fd, 1);
    return flush;
}

bool publishing_flushed(struct publishing *publishing, uint64_t flush) {
    return atomic_load(&publishing->flush_done) >= flush;
}

bool publishing_fenced(const struct publishing *publishing) {
    return publishing->fenced;
}

static bool all_answered(const struct entry_list *list) {
    for (const struct entry *entry = list->first; entry != NULL; entry = entry->next) {
        if (!entry->answered && entry->record == 0) {
            return false;
        }
    }
    return true;
}

bool publishing_idle(struct publishing *publishing) {
    return !submissions_waiting(publishing) && all_answered(&publishing->flying) &&
           all_answered(&publishing->waiting);
}

void publishing_finish(struct publishing *publishing) {
    pthread_mutex_lock(&publishing->lock);
    publishing->closed = true;
    pthread_mutex_unlock(&publishing->lock);
    for (struct submission *submission; (submission = submissions_take(publishing)) != NULL;) {
        place(publishing, submission);
    }
    if (publishing->spool != NULL) {
        spooling_catch(publishing);
    }
    // What only kit_publish's caller waits for stays unsettled: it will be repeated.
    answer_unavailable(publishing, &publishing->flying, INT64_MAX - 1);
    answer_unavailable(publishing, &publishing->waiting, INT64_MAX - 1);
    show(publishing);
}

// ---- from the loop

int kit_publish(struct kit *kit, touchbus_event *event, void *item) {
    struct publishing *publishing = kit->publishing;
    assert(publishing != NULL);
    if (publishing->waiting.n + publishing->flying.n >= KIT_IN_FLIGHT_MAX) {
        metric_add(&kit->metrics, METRIC_BUSY, 1);
        return KIT_FULL;
    }
    struct entry *entry;
    int r = entry_new(publishing, event, &entry);
    if (r != 0) {
        return r;
    }
    entry->item = item;
    if (publishing->spool != NULL) {
        entry->deadline_us = clock_monotonic_us() + kit->settings.kit->spool_after_us;
    }
    entries_push(&publishing->waiting, entry);
    eventfd_write(kit->wake_fd, 1);
    return 0;
}

// ---- life

int publishing_new(struct kit *kit, struct publishing **ret) {
    struct publishing *publishing = calloc(1, sizeof(*publishing));
    if (publishing == NULL) {
        return -ENOMEM;
    }
    publishing->kit = kit;
    pthread_mutex_init(&publishing->lock, NULL);
    touchbus_publisher_options options = {
        .broker = kit->settings.kit->broker,
        .key = kit->settings.kit->key,
        .broker_key = kit->settings.kit->broker_key,
        .producer = kit->folder.producer,
        .epoch = kit->folder.epoch,
        .window = KIT_IN_FLIGHT_MAX,
        .on_ack = on_ack,
        .user = publishing,
    };
    int r = touchbus_publisher_new(&options, &publishing->publisher);
    if (r == 0 && kit->connector->spools) {
        r = spool_open(kit->folder.path, (uint64_t)kit->settings.kit->spool_bytes,
                       &publishing->spool);
    }
    if (r != 0) {
        publishing_free(publishing);
        return r;
    }
    show(publishing);
    *ret = publishing;
    return 0;
}

static void free_entries(struct entry_list *list) {
    for (struct entry *entry; (entry = list->first) != NULL;) {
        entries_remove(list, entry);
        entry_free(entry);
    }
}

struct publishing *publishing_free(struct publishing *publishing) {
    if (publishing == NULL) {
        return NULL;
    }
    touchbus_publisher_free(publishing->publisher);
    spool_close(publishing->spool);
    free_entries(&publishing->flying);
    free_entries(&publishing->waiting);
    pthread_mutex_destroy(&publishing->lock);
    free(publishing);
    return NULL;
}

void *publishing_socket(struct publishing *publishing) {
    return touchbus_publisher_socket(publishing->publisher);
}

bool publishing_connected(const struct publishing *publishing) {
    return touchbus_publisher_connected(publishing->publisher);
}

// Busy is no refusal: it passes, and what waits is counted.
bool publishing_refusal_now(const struct publishing *publishing, struct kit_refusal *ret) {
    const char *reason, *detail, *hint;
    uint32_t code = touchbus_publisher_refusal(publishing->publisher, &reason, &detail, &hint);
    if (code != REASON_FORBIDDEN && code != REASON_UNAVAILABLE) {
        return false;
    }
    refusal_set(ret, reason, detail, hint);
    return true;
}

void publishing_reload_keys(struct publishing *publishing) {
    int r = touchbus_publisher_reload_keys(publishing->publisher);
    if (r != 0) {
        logging_error("cannot=reload-keys error=%s", strerror(-r));
    }
}

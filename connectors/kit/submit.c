// SPDX-License-Identifier: Apache-2.0
// The door for other threads: a bounded queue of submissions, each answered as a whole once every
// event of it has its answer. Events are made ready here, on the caller's thread, so that the loop
// only moves them.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "connectors/kit/publishing.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/reasons.h"

// Asked for the sake of its answer: it is worth nothing later.
static const char *const verdict_types[] = {"contact.requested"};

void entries_push(struct entry_list *list, struct entry *entry) {
    entry->previous = list->last;
    entry->next = NULL;
    *(list->last != NULL ? &list->last->next : &list->first) = entry;
    list->last = entry;
    list->n++;
}

void entries_push_front(struct entry_list *list, struct entry *entry) {
    entry->previous = NULL;
    entry->next = list->first;
    *(list->first != NULL ? &list->first->previous : &list->last) = entry;
    list->first = entry;
    list->n++;
}

void entries_remove(struct entry_list *list, struct entry *entry) {
    *(entry->previous != NULL ? &entry->previous->next : &list->first) = entry->next;
    *(entry->next != NULL ? &entry->next->previous : &list->last) = entry->previous;
    list->n--;
}

struct entry *entry_free(struct entry *entry) {
    if (entry != NULL) {
        touchbus_event_free(entry->event);
        free(entry->bytes);
        free(entry);
    }
    return NULL;
}

static int name_event(struct publishing *publishing, touchbus_event *event) {
    const struct folder *folder = &publishing->kit->folder;
    char text[ID_BYTES_MAX];
    int r = 0;
    if (touchbus_event_get(event, "id") == NULL) {
        snprintf(text, sizeof(text), "%s-%" PRIx64 "-%llu", folder->producer, folder->epoch,
                 atomic_fetch_add(&publishing->next_id, 1));
        r = touchbus_event_set(event, "id", text);
    }
    if (r == 0 && touchbus_event_get(event, "source") == NULL) {
        snprintf(text, sizeof(text), "/%s", folder->producer);
        r = touchbus_event_set(event, "source", text);
    }
    return r;
}

int entry_new(struct publishing *publishing, touchbus_event *event, struct entry **ret) {
    struct entry *entry = calloc(1, sizeof(*entry));
    if (entry == NULL) {
        return -ENOMEM;
    }
    int r = name_event(publishing, event);
    r = r != 0 ? r : touchbus_event_serialize(event, &entry->bytes, &entry->size);
    if (r == -ENOMEM) {
        return entry_free(entry), r;
    }
    if (r != 0 || entry->size > EVENT_BYTES_MAX) {
        entry->code = r == 0 || r == -E2BIG ? REASON_TOO_LARGE : REASON_BAD_ARGUMENT;
    }
    const char *type = touchbus_event_get(event, "type");
    for (size_t i = 0; i < sizeof(verdict_types) / sizeof(verdict_types[0]); i++) {
        entry->never_spool =
            entry->never_spool || (type != NULL && strcmp(type, verdict_types[i]) == 0);
    }
    entry->event = event;
    entry->deadline_us = INT64_MAX;
    *ret = entry;
    return 0;
}

// Frees it with its entries, but not their events: those are still the caller's.
static struct submission *submission_free(struct submission *submission) {
    if (submission == NULL) {
        return NULL;
    }
    for (size_t i = 0; submission->entries != NULL && i < submission->n_entries; i++) {
        struct entry *entry = submission->entries[i];
        if (entry != NULL) {
            entry->event = NULL;
        }
        entry_free(entry);
    }
    for (size_t i = 0; i < submission->n_entries; i++) {
        free(submission->details[i]);
        free(submission->verdicts[i]);
    }
    free(submission);
    return NULL;
}

// Made by one thread and freed by another, so it is one block.
static struct submission *submission_new(size_t n_events) {
    struct submission *submission;
    size_t an_event = sizeof(*submission->acks) + sizeof(*submission->entries) +
                      sizeof(*submission->details) + sizeof(*submission->verdicts);
    submission = calloc(1, sizeof(*submission) + n_events * an_event);
    if (submission == NULL) {
        return NULL;
    }
    submission->n_entries = submission->n_open = n_events;
    submission->acks = (struct kit_ack *)(submission + 1);
    submission->entries = (struct entry **)(submission->acks + n_events);
    submission->details = (char **)(submission->entries + n_events);
    submission->verdicts = submission->details + n_events;
    return submission;
}

static int prepare(struct publishing *publishing, struct submission *submission,
                   touchbus_event *const *events) {
    for (size_t i = 0; i < submission->n_entries; i++) {
        struct entry *entry;
        int r = entry_new(publishing, events[i], &entry);
        if (r != 0) {
            return r;
        }
        entry->submission = submission;
        entry->index = i;
        entry->deadline_us = submission->deadline_us;
        submission->entries[i] = entry;
        submission->n_bytes += entry->size;
        // One that wants an answer now decides for all of them, so that their order stays.
        submission->never_spool = submission->never_spool || entry->never_spool;
    }
    for (size_t i = 0; i < submission->n_entries; i++) {
        submission->entries[i]->never_spool = submission->never_spool;
    }
    return 0;
}

// *ret_first: the loop knows of none before it, so that it is to be woken. It takes all there are.
static int enqueue(struct publishing *publishing, struct submission *submission, bool *ret_first) {
    int r = 0;
    pthread_mutex_lock(&publishing->lock);
    if (publishing->closed) {
        r = -ESHUTDOWN;
    } else if (publishing->spool_full ||
               publishing->n_events + submission->n_entries > SUBMIT_QUEUE_EVENTS_MAX ||
               publishing->n_bytes + submission->n_bytes > SUBMIT_QUEUE_BYTES_MAX) {
        r = KIT_FULL;
    } else {
        publishing->n_events += submission->n_entries;
        publishing->n_bytes += submission->n_bytes;
        *ret_first = publishing->queue_first == NULL;
        *(publishing->queue_last != NULL ? &publishing->queue_last->next
                                         : &publishing->queue_first) = submission;
        publishing->queue_last = submission;
    }
    pthread_mutex_unlock(&publishing->lock);
    return r;
}

int kit_submit(struct kit *kit, touchbus_event *const *events, size_t n_events, unsigned flags,
               kit_done *done, void *user) {
    if (n_events == 0 || n_events > KIT_SUBMIT_EVENTS_MAX) {
        return -EINVAL;
    }
    struct submission *submission = submission_new(n_events);
    if (submission == NULL) {
        return -ENOMEM;
    }
    submission->done = done;
    submission->user = user;
    submission->never_spool = (flags & KIT_NEVER_SPOOL) != 0;
    submission->deadline_us = clock_monotonic_us() + kit->settings.kit->spool_after_us;
    int r = prepare(kit->publishing, submission, events);
    bool first = false;
    r = r != 0 ? r : enqueue(kit->publishing, submission, &first);
    if (r != 0) {
        if (r == KIT_FULL) {
            metric_add(&kit->metrics, METRIC_BUSY, n_events);
        }
        submission_free(submission);
        return r;
    }
    if (first) {
        eventfd_write(kit->wake_fd, 1);
    }
    return 0;
}

struct submission *submissions_take(struct publishing *publishing) {
    pthread_mutex_lock(&publishing->lock);
    struct submission *submission = publishing->queue_first;
    if (submission != NULL) {
        publishing->queue_first = submission->next;
        if (publishing->queue_first == NULL) {
            publishing->queue_last = NULL;
        }
        submission->next = NULL;
    }
    pthread_mutex_unlock(&publishing->lock);
    return submission;
}

bool submissions_waiting(struct publishing *publishing) {
    pthread_mutex_lock(&publishing->lock);
    bool waiting = publishing->n_events > 0;
    pthread_mutex_unlock(&publishing->lock);
    return waiting;
}

void submission_answer(struct publishing *publishing, struct submission *submission, size_t index,
                       const struct kit_ack *ack) {
    submission->acks[index] = *ack;
    if (ack->detail != NULL && ack->detail[0] != '\0') {
        submission->details[index] = strdup(ack->detail);
    }
    submission->acks[index].detail =
        submission->details[index] != NULL ? submission->details[index] : "";
    if (ack->verdict != NULL) {
        submission->verdicts[index] = strdup(ack->verdict);
    }
    submission->acks[index].verdict = submission->verdicts[index];
    if (--submission->n_open > 0) {
        return;
    }
    pthread_mutex_lock(&publishing->lock);
    publishing->n_events -= submission->n_entries;
    publishing->n_bytes -= submission->n_bytes;
    pthread_mutex_unlock(&publishing->lock);
    submission->done(submission->user, submission->acks, submission->n_entries);
    submission_free(submission);
}

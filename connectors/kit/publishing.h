// SPDX-License-Identifier: Apache-2.0
// What submit.c and publish.c share: the events between their callers and the broker.
//
//   submitted (other threads) -> waiting -> flying (at the publisher) -> acked
//                             -> the spool ---------^ (replayed in order)
//
// While the spool holds anything, everything that may be spooled goes there first, so that no event
// overtakes an older one.
#pragma once

#include "connectors/kit/private.h"
#include "connectors/kit/spool.h"

struct submission;

struct entry {
    struct entry *previous, *next;
    struct submission *submission; // NULL: answered, or it came by kit_publish or from the spool
    size_t index;                  // in the submission
    void *item;                    // of kit_publish, until it is settled
    touchbus_event *event;         // until the broker has answered
    void *bytes;                   // serialised, for the spool and quarantine
    size_t size;
    uint64_t record; // in the spool, 0 none
    bool never_spool, answered, unsynced;
    uint32_t code;       // why it can never be published, 0: it can
    int64_t deadline_us; // an answer is due; INT64_MAX: nobody waits
};

struct entry_list {
    struct entry *first, *last;
    size_t n;
};

struct submission {
    struct submission *next;
    kit_done *done;
    void *user;
    size_t n_entries, n_open;
    size_t n_bytes;
    bool never_spool;
    int64_t deadline_us;
    struct entry **entries; // until they are placed; this and what follows are in one block with it
    struct kit_ack *acks;
    char **details;  // of refusals
    char **verdicts; // NULL: none
};

struct publishing {
    struct kit *kit;
    touchbus_publisher *publisher;
    struct spool *spool; // NULL: this connector does not spool
    struct entry_list waiting, flying;
    size_t n_replaying; // of these from the spool, without a caller
    bool fenced;
    uint64_t flush_seen, flush_number; // the last flush taken up; the spool must be past this
    atomic_ullong flush_asked, flush_done;

    pthread_mutex_t lock; // guards from here on
    struct submission *queue_first, *queue_last;
    size_t n_events, n_bytes; // submitted and not answered
    bool closed, spool_full;
    atomic_ullong next_id;
};

void entries_push(struct entry_list *list, struct entry *entry);
void entries_push_front(struct entry_list *list, struct entry *entry);
void entries_remove(struct entry_list *list, struct entry *entry);
struct entry *entry_free(struct entry *entry);

// Makes an entry of an event: gives it id and source where it has none, and serialises it. Takes
// the event. -ENOMEM.
int entry_new(struct publishing *publishing, touchbus_event *event, struct entry **ret);

// The next submission, taken out of the queue; NULL: none.
struct submission *submissions_take(struct publishing *publishing);
bool submissions_waiting(struct publishing *publishing);
// Records the answer of one of its events; the last one calls done and frees the submission.
void submission_answer(struct publishing *publishing, struct submission *submission, size_t index,
                       const struct kit_ack *ack);

// answer.c

struct kit_ack publishing_refusal(uint32_t code);
// Tells whoever waits for it, once; the entry lives on where the publisher still has it.
void publishing_answer(struct publishing *publishing, struct entry *entry,
                       const struct kit_ack *ack);
// Puts an event into quarantine that was refused after its caller had been told it is safe.
void publishing_set_aside(struct publishing *publishing, const struct entry *entry,
                          const struct kit_ack *ack);
// publish.c

// Hands an entry that is in no list to the publisher. False: it takes no more now; the entry waits.
bool publishing_publish(struct publishing *publishing, struct entry *entry);

// spooling.c

bool spooling_active(const struct publishing *publishing); // the spool holds anything
// The broker is late: everything without an answer that may be spooled is made safe and answered.
void spooling_catch(struct publishing *publishing);
// Moves what waits to the spool where that holds anything.
void spooling_route(struct publishing *publishing);
// Carries on with what publishing_flush asked for.
void spooling_flush(struct publishing *publishing);
// Hands spooled events to the publisher, oldest first.
void spooling_replay(struct publishing *publishing);

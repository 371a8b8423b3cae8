// SPDX-License-Identifier: Apache-2.0
// A bounded queue of jobs to a thread: many post, one takes. Its descriptor is readable while
// something waits, for zmq_poll.
#pragma once

#include <stdbool.h>

struct job {
    // On the taking thread. context is the owner's (struct tick *, struct delivery *, struct query
    // *).
    void (*run)(struct job *job, void *context);
    struct job *next; // the mailbox's
};

struct mailbox;

struct mailbox *mailbox_new(void);
struct mailbox *mailbox_free(struct mailbox *mailbox); // must be empty
// Takes the job. False where MAILBOX_JOBS_MAX wait already: the job stays the caller's.
bool mailbox_post(struct mailbox *mailbox, struct job *job);
// NULL where nothing waits; only then the descriptor rests, so take until NULL, and look at what a
// wake announces after that. The job is the caller's.
struct job *mailbox_take(struct mailbox *mailbox);
int mailbox_descriptor(const struct mailbox *mailbox);
// Makes the descriptor readable without a job (visible has moved).
void mailbox_wake(struct mailbox *mailbox);

// SPDX-License-Identifier: Apache-2.0
// A bounded list under a mutex and one eventfd. The descriptor is written only when the list goes
// from drained to waiting, and read only when a take finds nothing, so a busy mailbox costs no
// system call a job. It is written once the lock is given back: who is woken may run at once, and
// would wait for it. Never allocates for a job and never runs one.
#include "broker/mailbox.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "broker/bounds.h"

struct mailbox {
    pthread_mutex_t lock;
    struct job *first, **end;
    unsigned n_jobs;
    bool signalled; // the descriptor is readable, or somebody is about to write it
    int descriptor;
};

// Under the lock. True: the caller signals once it has given the lock back.
static bool mailbox_announce(struct mailbox *mailbox) {
    bool announced = !mailbox->signalled;
    mailbox->signalled = true;
    return announced;
}

// An eventfd of our own can neither be full nor closed here.
static void mailbox_signal(struct mailbox *mailbox) {
    uint64_t one = 1;
    ssize_t n;
    do
        n = write(mailbox->descriptor, &one, sizeof one);
    while (n < 0 && errno == EINTR);
    assert(n == sizeof one);
}

static void mailbox_drain(struct mailbox *mailbox) {
    if (!mailbox->signalled)
        return;
    uint64_t count;
    ssize_t n;
    do
        n = read(mailbox->descriptor, &count, sizeof count);
    while (n < 0 && errno == EINTR);
    // Not written yet: it stays announced, and whoever is about to write wakes us once more.
    assert(n == sizeof count || errno == EAGAIN);
    mailbox->signalled = n != sizeof count;
}

struct mailbox *mailbox_new(void) {
    struct mailbox *mailbox = calloc(1, sizeof *mailbox);
    if (!mailbox)
        return NULL;
    mailbox->end = &mailbox->first;
    mailbox->descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (mailbox->descriptor < 0) {
        free(mailbox);
        return NULL;
    }
    int r = pthread_mutex_init(&mailbox->lock, NULL);
    assert(r == 0);
    return mailbox;
}

struct mailbox *mailbox_free(struct mailbox *mailbox) {
    if (!mailbox)
        return NULL;
    assert(mailbox->n_jobs == 0);
    pthread_mutex_destroy(&mailbox->lock);
    close(mailbox->descriptor);
    free(mailbox);
    return NULL;
}

bool mailbox_post(struct mailbox *mailbox, struct job *job) {
    pthread_mutex_lock(&mailbox->lock);
    bool taken = mailbox->n_jobs < MAILBOX_JOBS_MAX;
    if (taken) {
        job->next = NULL;
        *mailbox->end = job;
        mailbox->end = &job->next;
        mailbox->n_jobs++;
    }
    bool announced = taken && mailbox_announce(mailbox);
    pthread_mutex_unlock(&mailbox->lock);
    if (announced)
        mailbox_signal(mailbox);
    return taken;
}

struct job *mailbox_take(struct mailbox *mailbox) {
    pthread_mutex_lock(&mailbox->lock);
    struct job *job = mailbox->first;
    if (job) {
        mailbox->first = job->next;
        if (!mailbox->first)
            mailbox->end = &mailbox->first;
        mailbox->n_jobs--;
        job->next = NULL;
    } else {
        mailbox_drain(mailbox);
    }
    pthread_mutex_unlock(&mailbox->lock);
    return job;
}

int mailbox_descriptor(const struct mailbox *mailbox) {
    return mailbox->descriptor;
}

void mailbox_wake(struct mailbox *mailbox) {
    pthread_mutex_lock(&mailbox->lock);
    bool announced = mailbox_announce(mailbox);
    pthread_mutex_unlock(&mailbox->lock);
    if (announced)
        mailbox_signal(mailbox);
}

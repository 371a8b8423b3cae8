// SPDX-License-Identifier: Apache-2.0
// A bounded list under a mutex and one eventfd. The descriptor is written only when the list goes
// from drained to waiting, and read only when a take finds nothing, so a busy mailbox costs no
// system call a job. Never allocates for a job and never runs one.
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
    bool signalled; // the descriptor is readable
    int descriptor;
};

// Under the lock. An eventfd of our own can neither be full nor closed here.
static void mailbox_signal(struct mailbox *mailbox) {
    if (mailbox->signalled)
        return;
    uint64_t one = 1;
    ssize_t n;
    do
        n = write(mailbox->descriptor, &one, sizeof one);
    while (n < 0 && errno == EINTR);
    assert(n == sizeof one);
    mailbox->signalled = true;
}

static void mailbox_drain(struct mailbox *mailbox) {
    if (!mailbox->signalled)
        return;
    uint64_t count;
    ssize_t n;
    do
        n = read(mailbox->descriptor, &count, sizeof count);
    while (n < 0 && errno == EINTR);
    assert(n == sizeof count);
    mailbox->signalled = false;
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
        mailbox_signal(mailbox);
    }
    pthread_mutex_unlock(&mailbox->lock);
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
    mailbox_signal(mailbox);
    pthread_mutex_unlock(&mailbox->lock);
}

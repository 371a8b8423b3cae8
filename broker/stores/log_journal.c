// SPDX-License-Identifier: Apache-2.0
// The journal of a running log: its commits write to it, a thread takes points, so that its files
// can be used again and a start has little to take in. A point begins between two commits and is
// made durable beside them.
#include "broker/stores/log_journal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/bounds.h"
#include "broker/broker.h"
#include "broker/stores/log_journal_internal.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"
#include "schemas/base/scheduling.h"

enum {
    INTERVAL_S = 5, // between points, unless somebody sets another
    FULL_TURNS = 2, // files that grow to so many turns wait for the point
};

// ---- commits

void log_journal_lock(struct log_journal *journal) {
    pthread_mutex_lock(&journal->lock);
}

void log_journal_unlock(struct log_journal *journal) {
    pthread_mutex_unlock(&journal->lock);
}

static void want_point(struct log_journal *journal) {
    if (!journal->wanted) {
        journal->wanted = true;
        pthread_cond_signal(&journal->wake);
    }
}

bool log_journal_make_room(struct log_journal *journal) {
    uint64_t tried = journal->n_tried, taken = journal->n_taken;
    want_point(journal);
    while (journal->n_tried == tried && !journal->stop) {
        pthread_cond_wait(&journal->done, &journal->lock);
    }
    return journal->n_taken > taken;
}

int log_journal_write(struct log_journal *journal, const struct journal_record *record) {
    int r = journal_append(journal->files, record);
    // Many small commits are little journal but many pages that the pin keeps from being used
    // again.
    if (r == 0 && (journal_used(journal->files) >= JOURNAL_TURN_BYTES ||
                   journal_number(journal->files) - journal->begun >= JOURNAL_TURN_RECORDS)) {
        want_point(journal);
    }
    return r;
}

bool log_journal_is_full(const struct log_journal *journal) {
    return journal_used(journal->files) >= (uint64_t)FULL_TURNS * JOURNAL_TURN_BYTES;
}

void log_journal_set_interval(struct log_journal *journal, int64_t interval_us) {
    pthread_mutex_lock(&journal->lock);
    journal->interval_us = interval_us;
    pthread_cond_signal(&journal->wake);
    pthread_mutex_unlock(&journal->lock);
}

// ---- points

// What a point begins with, between two commits: the file as it is is pinned, and where the other
// file is free the records from here on go there.
static int begin_point(struct log_journal *journal, struct store_txn **ret_pin,
                       struct log_point *ret) {
    int r = log_point_describe(journal, ret_pin, ret);
    journal->begun = journal_number(journal->files);
    if (r == 0 && journal_can_turn(journal->files)) {
        journal_turn(journal->files);
    }
    return r;
}

static void end_point(struct log_journal *journal, struct store_txn *pin,
                      const struct log_point *point) {
    store_abort(journal->pin); // the pages of the point before may be used again
    journal->pin = pin;
    journal->point = *point;
    journal->n_taken++;
}

// Called with the lock held, which it gives up meanwhile.
static void take_point(struct log_journal *journal) {
    struct store_txn *pin = NULL;
    struct log_point point;
    int r = begin_point(journal, &pin, &point);
    if (r == 0) {
        pthread_mutex_unlock(&journal->lock);
        int written = log_point_write(journal, &point);
        if (written < 0) {
            broker_fatal("log-point", written); // what of it is on disk, nobody knows
        }
        pthread_mutex_lock(&journal->lock);
        end_point(journal, pin, &point);
    } else {
        logging_warning("log_point=failed error=\"%s\"", strerror(-r));
    }
    journal->n_tried++;
    pthread_cond_broadcast(&journal->done);
}

// What erased persons' rows held must not stay in records that nobody needs: quiet files are
// overwritten at once, busy ones by their next use, and what that leaves then.
static void wipe(struct log_journal *journal, bool busy) {
    pthread_mutex_unlock(&journal->lock);
    int r = journal_wipe(journal->files, busy);
    pthread_mutex_lock(&journal->lock);
    bool only_remains = journal_number(journal->files) == journal->point.number;
    if (r == 0 && !busy && only_remains && journal_has_remains(journal->files)) {
        journal_turn(journal->files); // they are in the file that is written to
        pthread_mutex_unlock(&journal->lock);
        r = journal_wipe(journal->files, false);
        pthread_mutex_lock(&journal->lock);
    }
    if (r < 0) {
        broker_fatal("log-journal", r);
    }
}

static void wait_until_due(struct log_journal *journal) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t at_us =
        (int64_t)until.tv_sec * CLOCK_US_PER_S + until.tv_nsec / 1000 + journal->interval_us;
    until = (struct timespec){.tv_sec = (time_t)(at_us / CLOCK_US_PER_S),
                              .tv_nsec = (long)(at_us % CLOCK_US_PER_S * 1000)};
    int r = 0;
    while (!journal->wanted && !journal->stop && r == 0) {
        r = pthread_cond_timedwait(&journal->wake, &journal->lock, &until);
    }
}

static void *run(void *user) {
    struct log_journal *journal = user;
    scheduling_patient();
    pthread_mutex_lock(&journal->lock);
    while (!journal->stop) {
        wait_until_due(journal);
        if (journal->stop) {
            break;
        }
        bool busy = journal->wanted;
        bool is_due = journal->wanted || journal_number(journal->files) != journal->point.number;
        journal->wanted = false;
        if (is_due) {
            take_point(journal);
        }
        if (is_due || journal_has_remains(journal->files)) {
            wipe(journal, busy);
        }
    }
    pthread_mutex_unlock(&journal->lock);
    return NULL;
}

int log_journal_start(struct log_journal *journal) {
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_destroy(&journal->wake);
    pthread_cond_init(&journal->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    journal->interval_us = INTERVAL_S * CLOCK_US_PER_S;
    // Signals are for the thread that made this one.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = -pthread_create(&journal->thread, NULL, run, journal);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    journal->has_thread = r == 0;
    return r;
}

// ---- the end

static void stop(struct log_journal *journal) {
    pthread_mutex_lock(&journal->lock);
    journal->stop = true;
    pthread_cond_signal(&journal->wake);
    pthread_mutex_unlock(&journal->lock);
    pthread_join(journal->thread, NULL);
}

// All that was committed is on disk in the file itself: it needs no journal any more.
static int leave(struct log_journal *journal) {
    static const uint8_t none[STORE_MARK_BYTES];
    int r = GUARD(log_close_sync) ? store_sync(journal->log->store) : 0;
    r = r == 0 ? store_set_mark(journal->dir, none) : r;
    return r == 0 ? journal_remove(journal->dir) : r;
}

struct log_journal *log_journal_close(struct log_journal *journal) {
    if (journal != NULL) {
        stop(journal);
        int r = leave(journal);
        if (r < 0) {
            // The next start goes back to the point and takes in the journal, as after a kill.
            logging_warning("journal=kept error=\"%s\"", strerror(-r));
        }
        log_journal_drop(journal);
    }
    return NULL;
}

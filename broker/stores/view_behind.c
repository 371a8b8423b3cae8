// SPDX-License-Identifier: Apache-2.0
// The writer's thread, and the batches between it and who shows and reads. One lock guards all of
// it; it is held for moments: never while the store is written, a batch's memory is taken, touched
// for the first time or given back. An urgent reader spins for it (PI futex), and others wait
// behind that.
//
// Why a reader sees one state: it begins its transaction of the store and takes the batches under
// that lock. A batch goes from the list after its transaction has been committed, so whatever the
// reader's snapshot of the store does not hold lies in a batch that it holds. What is in both says
// the same.
#include "broker/stores/view_behind.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/broker.h"
#include "broker/stores/view_internal.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/scheduling.h"

struct view_behind {
    struct view *view;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;      // for the writer
    pthread_cond_t written;      // for who waits for it
    struct view_batch *current;  // takes layers
    struct view_batch *writing;  // NULL: the writer rests
    struct view_batch *given_up; // nobody holds them any more
    uint64_t n_shown, n_written; // layers, ever
    uint64_t wanted;             // as many are to be written without delay
    atomic_size_t peak;          // bytes of the largest batch since there was nothing to do
    bool stop;
    struct pending *spares[BEHIND_SPARES_MAX];
    unsigned n_spares;
};

// ---- batches and changes that are given up

// The filter's pages are touched here: who reads an untouched one gets the kernel's page of zeros,
// and who writes it then has every processor told, which takes longer than to add a tick.
static struct view_batch *new_batch(void) {
    enum { WORDS_A_PAGE = 4096 / sizeof(uint64_t) };
    struct view_batch *batch = calloc(1, sizeof(*batch));
    if (batch != NULL) {
        batch->holders = 1;
        for (size_t i = 0; i < PENDING_FILTER_WORDS; i += WORDS_A_PAGE) {
            atomic_store_explicit(&batch->filter[i], 0, memory_order_relaxed);
        }
    }
    return batch;
}

static void drop_changes(struct view_behind *behind, struct pending *changes) {
    if (changes == NULL || !pending_drop(changes)) {
        return;
    }
    pending_reset(changes);
    pthread_mutex_lock(&behind->lock);
    bool kept = behind->n_spares < BEHIND_SPARES_MAX && !behind->stop;
    if (kept) {
        behind->spares[behind->n_spares++] = changes;
    }
    pthread_mutex_unlock(&behind->lock);
    if (!kept) {
        pending_free(changes);
    }
}

// With the lock. Giving layers back takes milliseconds, which nobody has who reads, least of all
// who is urgent: the writer does it. There are as many at most as were written since its last turn
// or held until now.
static void release_batch(struct view_behind *behind, struct view_batch *batch) {
    if (batch == NULL || --batch->holders > 0) {
        return;
    }
    batch->next = behind->given_up;
    behind->given_up = batch;
    pthread_cond_signal(&behind->changed);
}

// With the lock, which is given up meanwhile; by the writer.
static void free_given_up(struct view_behind *behind) {
    struct view_batch *batch;
    while ((batch = behind->given_up) != NULL) {
        behind->given_up = batch->next;
        pthread_mutex_unlock(&behind->lock);
        for (unsigned i = 0; i < batch->n; i++) {
            drop_changes(behind, batch->layers[i]);
        }
        free(batch);
        pthread_mutex_lock(&behind->lock);
    }
}

void view_behind_drop(struct view_behind *behind, struct pending *changes) {
    drop_changes(behind, changes);
}

struct pending *view_behind_exchange(struct view_behind *behind, struct pending *changes) {
    drop_changes(behind, changes);
    pthread_mutex_lock(&behind->lock);
    struct pending *spare = behind->n_spares > 0 ? behind->spares[--behind->n_spares] : NULL;
    pthread_mutex_unlock(&behind->lock);
    if (spare == NULL) {
        return view_changes_new();
    }
    pending_hold(spare); // the last owner gave it up
    return spare;
}

// ---- reading

static void hold(struct view_held *held, struct view_batch *batch) {
    bool has_any = batch != NULL && batch->n > 0;
    *held = (struct view_held){.batch = has_any ? batch : NULL, .n = has_any ? batch->n : 0};
    if (has_any) {
        batch->holders++;
    }
}

int view_behind_read(struct view_behind *behind, struct store_txn **ret,
                     struct view_held held[static BEHIND_BATCHES]) {
    pthread_mutex_lock(&behind->lock);
    int r = store_begin(behind->view->store, false, ret);
    if (r == 0) {
        hold(&held[0], behind->current);
        hold(&held[1], GUARD(batch_being_written) ? behind->writing : NULL);
    }
    pthread_mutex_unlock(&behind->lock);
    return r;
}

void view_behind_release(struct view_behind *behind, struct view_held held[static BEHIND_BATCHES]) {
    if (held[0].batch == NULL && held[1].batch == NULL) {
        return;
    }
    pthread_mutex_lock(&behind->lock);
    release_batch(behind, held[0].batch);
    release_batch(behind, held[1].batch);
    pthread_mutex_unlock(&behind->lock);
}

// ---- showing

static bool is_full(const struct view_batch *batch) {
    return batch->n == BEHIND_LAYERS_MAX || batch->bytes >= BEHIND_BYTES_MAX;
}

// Enough to be written while as much again is gathered.
static bool is_ready(const struct view_behind *behind) {
    const struct view_batch *batch = behind->current;
    return batch->n > 0 &&
           (behind->stop || behind->wanted > behind->n_written ||
            batch->n >= BEHIND_LAYERS_MAX / 2 || batch->bytes >= BEHIND_BYTES_MAX / 2);
}

// The batch that takes them, with the lock, which is given up while its filter grows: thousands of
// keys, each in a cache line of its own. What a filter says too much is looked for in vain, no
// more.
static struct view_batch *add_to_filter(struct view_behind *behind, const struct pending *changes) {
    struct view_batch *batch;
    do {
        batch = behind->current;
        batch->holders++;
        pthread_mutex_unlock(&behind->lock);
        pending_add_to(changes, batch->filter);
        pthread_mutex_lock(&behind->lock);
        release_batch(behind, batch);
    } while (batch != behind->current); // the writer took it meanwhile; an empty one it leaves
    return batch;
}

int view_behind_show(struct view_behind *behind, struct pending *changes) {
    pthread_mutex_lock(&behind->lock);
    while (is_full(behind->current)) {
        pthread_cond_wait(&behind->written, &behind->lock);
    }
    struct view_batch *batch = add_to_filter(behind, changes);
    pending_hold(changes);
    batch->bytes += pending_bytes(changes);
    if (batch->bytes > atomic_load(&behind->peak)) {
        atomic_store(&behind->peak, batch->bytes);
    }
    batch->layers[batch->n++] = changes;
    behind->n_shown++;
    if (batch->n == 1) {
        batch->began_us = clock_monotonic_us();
    }
    if (batch->n == 1 || is_ready(behind)) {
        pthread_cond_signal(&behind->changed);
    }
    pthread_mutex_unlock(&behind->lock);
    return 0;
}

size_t view_behind_memory(const struct view_behind *behind) {
    enum { BATCHES = 4 }; // gathered, written, given up and not yet used again, LMDB's pages
    size_t bytes = BATCHES * atomic_load(&behind->peak);
    return bytes < VIEW_BEHIND_BYTES ? bytes : VIEW_BEHIND_BYTES;
}

void view_behind_settle(struct view_behind *behind) {
    pthread_mutex_lock(&behind->lock);
    uint64_t wanted = behind->n_shown;
    behind->wanted = wanted > behind->wanted ? wanted : behind->wanted;
    pthread_cond_signal(&behind->changed);
    while (behind->n_written < wanted) {
        pthread_cond_wait(&behind->written, &behind->lock);
    }
    pthread_mutex_unlock(&behind->lock);
}

// ---- writing

// What one transaction changes is bounded by its rows, and by the pages there are.
static size_t rows_max(struct view_behind *behind) {
    uint64_t live = 0;
    return store_live_bytes(behind->view->store, &live) == 0 &&
                   live <= (uint64_t)BEHIND_PAGES_MAX * 4096
               ? SIZE_MAX
               : BEHIND_PAGES_MAX;
}

// From layer `from` on, whole ones: each commit of the store is the state after some tick.
static int write_some(struct view_behind *behind, const struct view_batch *batch, size_t max,
                      unsigned *from) {
    struct store_txn *txn = NULL;
    int r = store_begin(behind->view->store, true, &txn);
    if (r != 0) {
        return r;
    }
    unsigned begin = *from;
    for (size_t n_rows = 0; *from < batch->n && n_rows < max; (*from)++) {
        n_rows += pending_rows(batch->layers[*from]);
    }
    r = pending_apply(&batch->layers[begin], *from - begin, txn);
    if (r != 0) {
        store_abort(txn);
        return r;
    }
    return store_commit(txn);
}

static int write_batch(struct view_behind *behind, const struct view_batch *batch) {
    size_t max = rows_max(behind);
    int r = 0;
    for (unsigned from = 0; r == 0 && from < batch->n;) {
        r = write_some(behind, batch, max, &from);
    }
    return r;
}

static void free_spare(struct view_behind *behind) {
    struct pending *spare = behind->spares[--behind->n_spares];
    pthread_mutex_unlock(&behind->lock);
    pending_free(spare);
    pthread_mutex_lock(&behind->lock);
}

// With nothing to do, what a burst took goes back, one at a time.
static void wait_for_layers(struct view_behind *behind) {
    if (behind->current->n == 0 && behind->n_spares > BEHIND_SPARES_IDLE) {
        free_spare(behind);
        return;
    }
    if (behind->current->n == 0) {
        atomic_store(&behind->peak, 0);
        pthread_cond_wait(&behind->changed, &behind->lock);
        return;
    }
    int64_t left_us =
        behind->current->began_us + BEHIND_HOLD_MS * CLOCK_US_PER_MS - clock_monotonic_us();
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + (left_us > 0 ? left_us : 0) * 1000;
    until.tv_sec += ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    pthread_cond_timedwait(&behind->changed, &behind->lock, &until);
}

static bool is_due(const struct view_behind *behind) {
    return is_ready(behind) ||
           (behind->current->n > 0 &&
            clock_monotonic_us() - behind->current->began_us >= BEHIND_HOLD_MS * CLOCK_US_PER_MS);
}

// A tick that is shown is in the log: where its changes cannot be written, a start folds them.
static void write_current(struct view_behind *behind) {
    pthread_mutex_unlock(&behind->lock);
    struct view_batch *next = new_batch();
    if (next == NULL) {
        broker_fatal("view", -ENOMEM);
    }
    pthread_mutex_lock(&behind->lock);
    struct view_batch *batch = behind->writing = behind->current;
    behind->current = next;
    pthread_cond_broadcast(&behind->written); // there is room again
    pthread_mutex_unlock(&behind->lock);
    int r = write_batch(behind, batch);
    if (r != 0) {
        broker_fatal("view", r);
    }
    pthread_mutex_lock(&behind->lock);
    behind->writing = NULL;
    behind->n_written += batch->n;
    pthread_cond_broadcast(&behind->written);
    release_batch(behind, batch);
}

static void *run(void *object) {
    struct view_behind *behind = object;
    scheduling_patient();
    pthread_mutex_lock(&behind->lock);
    while (!behind->stop || behind->current->n > 0) {
        if (behind->given_up != NULL) {
            free_given_up(behind); // without the lock now and then: all is looked at anew
        } else if (is_due(behind)) {
            write_current(behind);
        } else {
            wait_for_layers(behind);
        }
    }
    pthread_mutex_unlock(&behind->lock);
    return NULL;
}

// ---- start and end

int view_behind_new(struct view *view, struct view_behind **ret) {
    struct view_behind *behind = calloc(1, sizeof(*behind));
    if (behind == NULL) {
        return -ENOMEM;
    }
    behind->view = view;
    behind->current = new_batch();
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    // Who asks for a customer may be urgent (broker/query/urgency.h), and would wait for the writer
    // and for whoever keeps that from its processor.
    pthread_mutexattr_t inheriting;
    pthread_mutexattr_init(&inheriting);
    pthread_mutexattr_setprotocol(&inheriting, PTHREAD_PRIO_INHERIT);
    pthread_mutex_init(&behind->lock, &inheriting);
    pthread_mutexattr_destroy(&inheriting);
    pthread_cond_init(&behind->changed, &monotonic);
    pthread_cond_init(&behind->written, NULL);
    pthread_condattr_destroy(&monotonic);
    int r = behind->current == NULL ? ENOMEM : pthread_create(&behind->thread, NULL, run, behind);
    if (r != 0) {
        pthread_cond_destroy(&behind->changed);
        pthread_cond_destroy(&behind->written);
        pthread_mutex_destroy(&behind->lock);
        free(behind->current);
        free(behind);
        return -r;
    }
    pthread_setname_np(behind->thread, "view");
    *ret = behind;
    return 0;
}

struct view_behind *view_behind_free(struct view_behind *behind) {
    if (behind == NULL) {
        return NULL;
    }
    pthread_mutex_lock(&behind->lock);
    behind->stop = true;
    pthread_cond_signal(&behind->changed);
    pthread_mutex_unlock(&behind->lock);
    pthread_join(behind->thread, NULL);
    pthread_mutex_lock(&behind->lock);
    free_given_up(behind);
    pthread_mutex_unlock(&behind->lock);
    for (unsigned i = 0; i < behind->n_spares; i++) {
        pending_free(behind->spares[i]);
    }
    free(behind->current);
    pthread_cond_destroy(&behind->changed);
    pthread_cond_destroy(&behind->written);
    pthread_mutex_destroy(&behind->lock);
    free(behind);
    return NULL;
}

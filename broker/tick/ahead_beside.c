// SPDX-License-Identifier: Apache-2.0
// One flag an event hands it over: what was written before it is seen by whoever has seen it set.
#include "broker/tick/ahead_beside.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "broker/bounds.h"
#include "broker/tick/beside.h"
#include "broker/tick/dedup.h"
#include "schemas/base/guards.h"
#include "schemas/base/pages.h"
#include "schemas/base/scheduling.h"
#include "schemas/envelope.h"
#include "schemas/limits.h"

enum { LINE_BYTES = 64 };
// How far from the tick the thread goes on where the tick was there first.
enum { LEAD = 8 };

struct row {
    _Alignas(LINE_BYTES) struct foreseen foreseen;
    atomic_bool is_there;
};

struct ahead_beside {
    struct beside *thread;
    const struct ahead_means *means;
    const ProtobufCBinaryData *events;
    size_t n;
    struct arena *arena;
    _Alignas(LINE_BYTES) atomic_size_t from; // what stands before it need not be read
    _Alignas(LINE_BYTES) struct row rows[REQUEST_EVENTS_MAX];
};

// ---- one event

int ahead_read_event(const struct ahead_means *means, Touchbus__Event *event, struct arena *arena,
                     struct foreseen *ret) {
    *ret = (struct foreseen){.why = "", .event = event};
    dedup_hash_id(means->secret, event, ret->id_hash);
    int r = dedup_hash_body(means->secret, event, arena, &ret->body_hash);
    return r != 0 ? r : decide_keys(means->decide, arena, event, &ret->keys);
}

int ahead_read(const struct ahead_means *means, const ProtobufCBinaryData *bytes,
               struct arena *arena, struct foreseen *ret) {
    Touchbus__Event *event;
    const char *why = "";
    int code = envelope_unpack_event(bytes->data, bytes->len, true, arena, &event, &why);
    if (code != 0) {
        *ret = (struct foreseen){.code = code, .why = why};
        return 0;
    }
    return ahead_read_event(means, event, arena, ret);
}

// ---- the thread

static int read_all(void *user) {
    struct ahead_beside *beside = user;
    size_t i = 0;
    for (;; i++) {
        size_t from = atomic_load_explicit(&beside->from, memory_order_relaxed);
        i = i < from ? from : i;
        if (i >= beside->n) {
            return 0;
        }
        scheduling_yield_point();
        struct row *row = &beside->rows[i];
        const ProtobufCBinaryData *bytes = &beside->events[i];
        if (bytes->len > AHEAD_EVENT_BYTES_MAX) {
            continue;
        }
        if (ahead_read(beside->means, bytes, beside->arena, &row->foreseen) != 0) {
            return 0;
        }
        // Refused here it may be for want of room, which the tick has.
        if (row->foreseen.code == 0 || !GUARD(ahead_refusals)) {
            atomic_store_explicit(&row->is_there, true, memory_order_release);
        }
    }
}

// ---- for the tick

int ahead_beside_new(struct ahead_beside **ret) {
    struct ahead_beside *beside = pages_new(sizeof(*beside));
    if (beside == NULL) {
        return -ENOMEM;
    }
    int r = beside_new("ahead", &beside->thread);
    if (r != 0) {
        pages_free(beside, sizeof(*beside));
        return r;
    }
    *ret = beside;
    return 0;
}

struct ahead_beside *ahead_beside_free(struct ahead_beside *beside) {
    if (beside != NULL) {
        beside_free(beside->thread);
        pages_free(beside, sizeof(*beside));
    }
    return NULL;
}

void ahead_beside_begin(struct ahead_beside *beside, const struct ahead_means *means,
                        const ProtobufCBinaryData *events, size_t n, struct arena *arena) {
    assert(n <= REQUEST_EVENTS_MAX);
    beside->means = means;
    beside->events = events;
    beside->n = n;
    beside->arena = arena;
    for (size_t i = 0; i < n; i++) {
        atomic_store_explicit(&beside->rows[i].is_there, false, memory_order_relaxed);
    }
    atomic_store_explicit(&beside->from, LEAD, memory_order_relaxed);
    beside_start(beside->thread, read_all, beside);
}

struct foreseen *ahead_beside_find(struct ahead_beside *beside, size_t index) {
    struct row *row = &beside->rows[index];
    if (atomic_load_explicit(&row->is_there, memory_order_acquire)) {
        return &row->foreseen;
    }
    size_t from = atomic_load_explicit(&beside->from, memory_order_relaxed);
    if (index >= from) {
        atomic_store_explicit(&beside->from, index + LEAD, memory_order_relaxed);
    }
    return NULL;
}

void ahead_beside_prefetch(const struct ahead_beside *beside, size_t index) {
    if (index < beside->n) {
        __builtin_prefetch(&beside->rows[index]);
        __builtin_prefetch(&beside->rows[index].is_there);
    }
}

void ahead_beside_end(struct ahead_beside *beside) {
    atomic_store_explicit(&beside->from, SIZE_MAX, memory_order_relaxed);
    (void)beside_call_off(beside->thread);
}

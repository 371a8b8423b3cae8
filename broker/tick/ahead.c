// SPDX-License-Identifier: Apache-2.0
// Each event moves one step with every event that is taken: what one step has memory fetch, the
// next one reads. Nothing is changed by it, and what was seen may be another one by then.
#include "broker/tick/ahead.h"

#include <string.h>

#include "broker/tick/tick_internal.h"

enum { STEP_OWNERS = 1, STEP_CUSTOMER = 2, LINE_BYTES = 64 };
enum { ROWS_AHEAD = 4 }; // of the thread's, before they are looked at

static struct ahead_means means_of(const struct tick *tick) {
    return (struct ahead_means){tick->decide, keys_hash_secret(tick->broker->keys)};
}

int ahead_look_at(struct tick *tick, Touchbus__Event *event, struct foreseen *ret) {
    struct ahead_means means = means_of(tick);
    return ahead_read_event(&means, event, tick->arena, ret);
}

void ahead_begin(struct ahead *ahead, struct tick *tick, const struct request *request) {
    const Touchbus__PublishRequest *message = request->message;
    ahead->tick = tick;
    ahead->request = request;
    ahead->means = means_of(tick);
    ahead->begin = ahead->end = 0;
    ahead->is_beside = tick->ahead_beside != NULL && message->n_events >= AHEAD_BESIDE_EVENTS_MIN;
    if (ahead->is_beside) {
        ahead_beside_begin(tick->ahead_beside, &ahead->means, message->events, message->n_events,
                           tick->ahead_arena);
    }
}

void ahead_end(struct ahead *ahead) {
    if (ahead->is_beside) {
        ahead_beside_end(ahead->tick->ahead_beside);
    }
}

static void fetch_event(const struct foreseen *foreseen) {
    const uint8_t *event = (const uint8_t *)foreseen->event;
    for (size_t at = 0; at < sizeof(*foreseen->event); at += LINE_BYTES) {
        __builtin_prefetch(event + at);
    }
    __builtin_prefetch(foreseen->keys.rows);
}

static int look_at(struct ahead *ahead, size_t index) {
    struct tick *tick = ahead->tick;
    struct foreseen **at = &ahead->events[index % AHEAD_EVENTS_MAX];
    struct foreseen *own = &ahead->own[index % AHEAD_EVENTS_MAX];
    *at = ahead->is_beside ? ahead_beside_find(tick->ahead_beside, index) : NULL;
    int r = 0;
    if (*at != NULL) {
        ahead_beside_prefetch(tick->ahead_beside, index + ROWS_AHEAD);
        fetch_event(*at);
    } else {
        *at = own;
        r = ahead_read(&ahead->means, &ahead->request->message->events[index], tick->arena, own);
    }
    if (r == 0 && (*at)->code == 0) {
        dedup_prefetch(tick->dedup, (*at)->id_hash);
    }
    return r;
}

static void fetch(const struct fold *fold, struct foreseen *foreseen, size_t step) {
    for (size_t i = 0; step == STEP_OWNERS && i < foreseen->keys.n; i++) {
        fold_prefetch_owner(fold, foreseen->keys.rows[i].lookup);
    }
    for (size_t i = 0; step == STEP_CUSTOMER && foreseen->customer == 0 && i < foreseen->keys.n;
         i++) {
        foreseen->customer = fold_owner_at_hand(fold, foreseen->keys.rows[i].lookup);
    }
    if (step >= STEP_CUSTOMER && foreseen->customer != 0) {
        fold_prefetch_customer(fold, foreseen->customer, (unsigned)step - STEP_CUSTOMER);
    }
}

int ahead_take(struct ahead *ahead, size_t index, const struct foreseen **ret) {
    const Touchbus__PublishRequest *message = ahead->request->message;
    int r = 0;
    ahead->begin = index;
    ahead->end = ahead->end < index ? index : ahead->end;
    while (r == 0 && ahead->end < message->n_events && ahead->end - index < AHEAD_EVENTS_MAX) {
        if (ahead->end > index && message->events[ahead->end].len > AHEAD_EVENT_BYTES_MAX) {
            break; // its turn is early enough for what takes so much
        }
        r = look_at(ahead, ahead->end++);
        for (size_t step = 1; r == 0 && step < ahead->end - index; step++) {
            size_t behind = ahead->end - 1 - step;
            fetch(ahead->tick->fold, ahead->events[behind % AHEAD_EVENTS_MAX], step);
        }
    }
    *ret = ahead->events[index % AHEAD_EVENTS_MAX];
    return r;
}

// SPDX-License-Identifier: Apache-2.0
// Each event moves one step with every event that is taken: what one step has memory fetch, the
// next one reads. Nothing is changed by it, and what was seen may be another one by then.
#include "broker/tick/ahead.h"

#include <string.h>

#include "broker/tick/tick_internal.h"
#include "schemas/envelope.h"

int ahead_look_at(struct tick *tick, Touchbus__Event *event, struct foreseen *ret) {
    *ret = (struct foreseen){.why = "", .event = event};
    dedup_hash_id(keys_hash_secret(tick->broker->keys), event, ret->id_hash);
    dedup_prefetch(tick->dedup, ret->id_hash);
    int r = decide_keys(tick->decide, tick->arena, event, &ret->keys);
    for (size_t i = 0; r == 0 && i < ret->keys.n; i++) {
        fold_prefetch_owner(tick->fold, ret->keys.rows[i].lookup);
    }
    return r;
}

void ahead_begin(struct ahead *ahead, struct tick *tick, const struct request *request) {
    ahead->tick = tick;
    ahead->request = request;
    ahead->begin = ahead->end = 0;
}

static int look_at(struct ahead *ahead, size_t index) {
    const ProtobufCBinaryData *bytes = &ahead->request->message->events[index];
    struct foreseen *foreseen = &ahead->events[index % AHEAD_EVENTS_MAX];
    struct tick *tick = ahead->tick;
    Touchbus__Event *event;
    const char *why = "";
    int code = envelope_unpack_event(bytes->data, bytes->len, true, tick->arena, &event, &why);
    if (code != 0) {
        *foreseen = (struct foreseen){.code = code, .why = why};
        return 0;
    }
    return ahead_look_at(tick, event, foreseen);
}

static void fetch(const struct fold *fold, struct foreseen *foreseen, size_t step) {
    for (size_t i = 0; step == 1 && foreseen->customer == 0 && i < foreseen->keys.n; i++) {
        foreseen->customer = fold_owner_at_hand(fold, foreseen->keys.rows[i].lookup);
    }
    if (foreseen->customer != 0) {
        fold_prefetch_customer(fold, foreseen->customer, (unsigned)step - 1);
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
            fetch(ahead->tick->fold, &ahead->events[behind % AHEAD_EVENTS_MAX], step);
        }
    }
    *ret = &ahead->events[index % AHEAD_EVENTS_MAX];
    return r;
}

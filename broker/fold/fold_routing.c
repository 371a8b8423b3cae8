// SPDX-License-Identifier: Apache-2.0
// Live interactions and held agents, from Stamp.routing and the event's open numbers alone. Only of
// events of nobody, whose sealed half is never lost, the id is read from the data.
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "broker/fold/fold_internal.h"
#include "broker/fold/items.h"
#include "broker/fold/waiting.h"

enum { FORGOTTEN_AT_ONCE = 2 }; // looked at whenever one more comes

static int put(const struct fold_step *step, const uint8_t *key, size_t key_size,
               const ProtobufCMessage *row) {
    size_t size = protobuf_c_message_get_packed_size(row);
    uint8_t *packed = arena_alloc(step->fold->scratch, size + 1);
    if (packed == NULL) {
        return -ENOMEM;
    }
    protobuf_c_message_pack(row, packed);
    return view_put(step->txn, VIEW_WAITING, key, key_size, packed, size);
}

static int put_waiting(const struct fold_step *step, const uint8_t *lookup,
                       const View__Waiting *row) {
    uint8_t key[WAITING_KEY_BYTES];
    waiting_key('l', lookup, key);
    return put(step, key, sizeof(key), &row->base);
}

static int place_put(const struct fold_step *step, char what, uint64_t sequence,
                     const uint8_t *lookup) {
    uint8_t place[WAITING_PLACE_BYTES];
    waiting_place(what, sequence, place);
    return view_put(step->txn, VIEW_WAITING, place, sizeof(place), lookup, LOOKUP_BYTES);
}

static int place_drop(const struct fold_step *step, char what, uint64_t sequence) {
    uint8_t place[WAITING_PLACE_BYTES];
    waiting_place(what, sequence, place);
    int r = view_delete(step->txn, VIEW_WAITING, place, sizeof(place));
    return r > 0 ? 0 : r;
}

static int count(const struct fold_step *step, int change, uint64_t *ret) {
    const void *value;
    size_t size;
    uint64_t n = 0;
    int r = view_get(step->txn, VIEW_WAITING, "n", 1, &value, &size);
    if (r < 0) {
        return r;
    }
    if (r == 0 && size == sizeof(n)) {
        memcpy(&n, value, sizeof(n));
        n = be64toh(n);
    }
    n = change < 0 && n == 0 ? 0 : n + (uint64_t)(int64_t)change;
    *ret = n;
    uint64_t stored = htobe64(n);
    return change == 0 ? 0 : view_put(step->txn, VIEW_WAITING, "n", 1, &stored, sizeof(stored));
}

static int forget(const struct fold_step *step, const uint8_t *lookup, uint64_t sequence) {
    uint8_t key[WAITING_KEY_BYTES];
    uint64_t n;
    waiting_key('l', lookup, key);
    int r = view_delete(step->txn, VIEW_WAITING, key, sizeof(key));
    r = r < 0 ? r : place_drop(step, 'q', sequence);
    r = r != 0 ? r : place_drop(step, 's', sequence);
    return r != 0 ? r : count(step, -1, &n);
}

struct oldest {
    bool found;
    uint64_t sequence;
    uint8_t lookup[LOOKUP_BYTES];
};

static int oldest_row(void *user, const void *key, size_t key_size, const void *value,
                      size_t size) {
    struct oldest *oldest = user;
    if (key_size != WAITING_PLACE_BYTES || size != LOOKUP_BYTES) {
        return -EBADMSG;
    }
    memcpy(&oldest->sequence, (const uint8_t *)key + 1, sizeof(oldest->sequence));
    oldest->sequence = be64toh(oldest->sequence);
    memcpy(oldest->lookup, value, LOOKUP_BYTES);
    oldest->found = true;
    return 1;
}

// Those that nobody ended, a few at a time, so that what stands here has a bound.
static int forget_old(const struct fold_step *step) {
    for (int i = 0; i < FORGOTTEN_AT_ONCE; i++) {
        struct oldest oldest = {.found = false};
        View__Waiting *row;
        uint64_t n;
        int r = view_scan(step->txn, VIEW_WAITING, "s", 1, false, oldest_row, &oldest);
        if (r < 0 || !oldest.found) {
            return r < 0 ? r : 0;
        }
        r = waiting_get(step->txn, step->fold->scratch, oldest.lookup, &row);
        r = r != 0 ? (r < 0 ? r : -EBADMSG) : count(step, 0, &n);
        if (r != 0) {
            return r;
        }
        if (n < WAITING_MAX && row->received_us > step->event->received_us - WAITING_LIFE_US) {
            return 0;
        }
        r = forget(step, oldest.lookup, oldest.sequence);
        if (r != 0) {
            return r;
        }
    }
    return 0;
}

// The id of nobody's interaction, for the event that routes it later.
static char *id_of_nobody(const struct fold_step *step, uint32_t kind) {
    static char none[] = "";
    char *id = NULL;
    if (step->event->customer == 0 && kind != 0) {
        id = fold_data_text(step, kind == ITEM_CALL ? "call_id" : "conversation_id");
    }
    return id != NULL ? id : none;
}

static int queue(const struct fold_step *step, const Touchbus__Routing *routing,
                 View__Waiting *row) {
    row->state = WAITING_QUEUED;
    row->queue = routing->queue;
    row->n_skills = routing->n_skills;
    row->skills = routing->skills;
    row->bonus_us = routing->bonus_us;
    row->ring = routing->ring;
    row->agent = routing->agent;
    return place_put(step, 'q', row->sequence, routing->interaction.data);
}

static int arrive(const struct fold_step *step, const Touchbus__Routing *routing) {
    View__Waiting row;
    view__waiting__init(&row);
    uint64_t n;
    int r = forget_old(step);
    if (r != 0) {
        return r;
    }
    row.sequence = step->event->sequence;
    row.customer = step->event->customer;
    row.kind = routing->kind;
    row.state = WAITING_ARRIVED;
    row.channel = step->event->channel;
    row.tier = routing->tier;
    row.id = id_of_nobody(step, routing->kind);
    row.since_us = step->time_us;
    row.received_us = step->event->received_us;
    r = routing->state == WAITING_QUEUED ? queue(step, routing, &row) : 0;
    r = r != 0 ? r : put_waiting(step, routing->interaction.data, &row);
    r = r != 0 ? r : place_put(step, 's', row.sequence, routing->interaction.data);
    return r != 0 ? r : count(step, 1, &n);
}

static int hold(const struct fold_step *step, const Touchbus__Routing *routing) {
    View__Held held = VIEW__HELD__INIT;
    uint8_t key[WAITING_KEY_BYTES];
    if (routing->agent.len != LOOKUP_BYTES) {
        return 0;
    }
    held.interaction = routing->interaction;
    held.until_us = routing->until_us;
    waiting_key('a', routing->agent.data, key);
    return put(step, key, sizeof(key), &held.base);
}

static int release(const struct fold_step *step, const Touchbus__Routing *routing) {
    uint8_t key[WAITING_KEY_BYTES];
    if (routing->agent.len != LOOKUP_BYTES) {
        return 0;
    }
    waiting_key('a', routing->agent.data, key);
    int r = view_delete(step->txn, VIEW_WAITING, key, sizeof(key));
    return r > 0 ? 0 : r;
}

static void answer(const struct fold_step *step, View__Waiting *row) {
    row->state = WAITING_ANSWERED;
    row->answered_us = row->answered_us != 0 ? row->answered_us : step->time_us;
}

static int change(const struct fold_step *step, const Touchbus__Routing *routing,
                  View__Waiting *row) {
    int r = 0;
    switch (routing->state) {
    case WAITING_QUEUED:
        r = queue(step, routing, row);
        break;
    case WAITING_ROUTED:
        row->state = WAITING_ROUTED;
        row->agent = routing->agent;
        r = hold(step, routing);
        if (r == 0 && row->kind == 0) { // a callback is the agent's from here on
            return forget(step, routing->interaction.data, row->sequence);
        }
        break;
    case WAITING_ANSWERED:
        answer(step, row);
        break;
    case WAITING_ASKED:
        row->asked_us = row->asked_us != 0 ? row->asked_us : step->time_us;
        break;
    case WAITING_REPLIED:
        row->asked_us = 0;
        answer(step, row);
        break;
    default:
        return 0;
    }
    if (r == 0 && row->state != WAITING_QUEUED) {
        r = place_drop(step, 'q', row->sequence);
    }
    return r != 0 ? r : put_waiting(step, routing->interaction.data, row);
}

int fold_routing(struct fold_step *step) {
    const Touchbus__Routing *routing = step->event->stamp->routing;
    View__Waiting *row;
    if (routing == NULL) {
        return 0;
    }
    if (routing->state == WAITING_AGENT) {
        return release(step, routing);
    }
    if (routing->interaction.len != LOOKUP_BYTES) {
        return 0;
    }
    int r = waiting_get(step->txn, step->fold->scratch, routing->interaction.data, &row);
    if (r < 0) {
        return r;
    }
    if (r == 1) { // a callback begins where it is queued, or given to an agent at once
        bool begins = routing->state == WAITING_ARRIVED || routing->state == WAITING_QUEUED;
        return begins                             ? arrive(step, routing)
               : routing->state == WAITING_ROUTED ? hold(step, routing)
                                                  : 0;
    }
    if (routing->state == WAITING_ENDED) {
        return forget(step, routing->interaction.data, row->sequence);
    }
    return change(step, routing, row);
}

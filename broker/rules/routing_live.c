// SPDX-License-Identifier: Apache-2.0
// Live interactions from beginning to end: which event says what of which one. They are followed
// whether or not a queue takes them, because the scorecard needs their times.
#include <errno.h>
#include <string.h>

#include "broker/fold/items.h"
#include "broker/rules/routing.h"
#include "broker/rules/rules_internal.h"
#include "schemas/base/clock.h"

// The words that sources have for the states of a chat.
static const struct {
    const char *word;
    enum waiting_state state;
} CHAT_STATES[] = {
    {"waiting", WAITING_ARRIVED},   {"started", WAITING_ARRIVED},   {"requested", WAITING_ARRIVED},
    {"answered", WAITING_ANSWERED}, {"accepted", WAITING_ANSWERED}, {"joined", WAITING_ANSWERED},
    {"ended", WAITING_ENDED},       {"closed", WAITING_ENDED},      {"abandoned", WAITING_ENDED},
};

static enum waiting_state says_arrived(struct judging *judging) {
    (void)judging;
    return WAITING_ARRIVED;
}

static enum waiting_state says_answered(struct judging *judging) {
    (void)judging;
    return WAITING_ANSWERED;
}

static enum waiting_state says_ended(struct judging *judging) {
    (void)judging;
    return WAITING_ENDED;
}

static enum waiting_state says_chat_state(struct judging *judging) {
    const char *word = rules_text(judging, "state");
    for (size_t i = 0; word != NULL && i < sizeof(CHAT_STATES) / sizeof(CHAT_STATES[0]); i++) {
        if (strcmp(word, CHAT_STATES[i].word) == 0) {
            return CHAT_STATES[i].state;
        }
    }
    return 0;
}

static enum waiting_state says_chat_message(struct judging *judging) {
    return judging->event->direction == TOUCHBUS__DIRECTION__OUTBOUND  ? WAITING_REPLIED
           : judging->event->direction == TOUCHBUS__DIRECTION__INBOUND ? WAITING_ASKED
                                                                       : 0;
}

static const struct live_row {
    const char *type;
    uint32_t kind;         // of the interaction
    const char *kind_name; // of its look-up
    const char *id;        // member of the data; NULL: the event's own id
    enum waiting_state (*says)(struct judging *judging);
} TYPES[] = {
    {"call.answered", ITEM_CALL, "call", "call_id", says_answered},
    {"call.ended", ITEM_CALL, "call", "call_id", says_ended},
    {"call.received", ITEM_CALL, "call", "call_id", says_arrived},
    {"callback.requested", 0, "callback", NULL, says_arrived},
    {"chat.message", ITEM_CHAT, "conversation", "conversation_id", says_chat_message},
    {"chat.state", ITEM_CHAT, "conversation", "conversation_id", says_chat_state},
};

static const struct live_row *row_of(const char *type) {
    for (size_t i = 0; i < sizeof(TYPES) / sizeof(TYPES[0]); i++) {
        if (strcmp(TYPES[i].type, type) == 0) {
            return &TYPES[i];
        }
    }
    return NULL;
}

// 0; 1: it names none.
static int lookup_of(struct judging *judging, const struct live_row *row,
                     uint8_t ret[static LOOKUP_BYTES]) {
    const Touchbus__Event *event = judging->event;
    const char *id = row->id != NULL
                         ? rules_text(judging, row->id)
                         : arena_printf(judging->arena, "%s\x1f%s", event->source, event->id);
    return id != NULL && lookup_reference(judging->secret, row->kind_name, id, ret) ? 0 : 1;
}

enum waiting_state routing_says(struct judging *judging) {
    const struct live_row *row = row_of(judging->event->type);
    return row == NULL ? 0 : row->says(judging);
}

int routing_live(struct judging *judging, View__Waiting **ret) {
    const struct live_row *row = row_of(judging->event->type);
    uint8_t lookup[LOOKUP_BYTES];
    *ret = NULL;
    int r = row == NULL ? 1 : lookup_of(judging, row, lookup);
    r = r != 0 ? r : waiting_get(judging->txn, judging->arena, lookup, ret);
    return r < 0 ? r : 0;
}

static Touchbus__Routing *make(struct judging *judging, enum waiting_state state) {
    Touchbus__Stamp *stamp = rules_make_stamp(judging);
    Touchbus__Routing *routing =
        stamp == NULL ? NULL : arena_alloc(judging->arena, sizeof(*routing));
    if (routing != NULL) {
        touchbus__routing__init(routing);
        routing->state = state;
        stamp->routing = routing;
    }
    return routing;
}

static int put_lookup(struct judging *judging, const uint8_t lookup[static LOOKUP_BYTES],
                      ProtobufCBinaryData *ret) {
    ret->data = arena_copy(judging->arena, lookup, LOOKUP_BYTES);
    ret->len = ret->data == NULL ? 0 : LOOKUP_BYTES;
    return ret->data == NULL ? -ENOMEM : 0;
}

int routing_stamp_agent(struct judging *judging) {
    uint8_t lookup[LOOKUP_BYTES];
    const char *actor = rules_text(judging, "actor");
    if (actor == NULL || !lookup_reference(judging->secret, "agent", actor, lookup)) {
        return 0;
    }
    Touchbus__Routing *routing = make(judging, WAITING_AGENT);
    return routing == NULL ? -ENOMEM : put_lookup(judging, lookup, &routing->agent);
}

// A callback for later is a timer until then.
static int put_off(struct judging *judging, const uint8_t lookup[static LOOKUP_BYTES],
                   bool *ret_later) {
    const char *when = rules_text(judging, "when");
    int64_t when_us;
    *ret_later =
        when != NULL && clock_parse_rfc3339(when, &when_us) == 0 && when_us > judging->now_us;
    return !*ret_later ? 0
                       : rules_arm(judging->arena, judging->event, TIMER_CALLBACK, lookup, when_us);
}

static int stamp_arrived(struct judging *judging, const struct live_row *row,
                         Touchbus__Routing *routing) {
    const char *tier = "";
    int r = rules_tier(judging, &tier);
    routing->kind = row->kind;
    routing->tier = arena_strdup(judging->arena, tier);
    return r == 0 && routing->tier == NULL ? -ENOMEM : r;
}

int routing_stamp(struct judging *judging) {
    const struct live_row *row = row_of(judging->event->type);
    enum waiting_state state = routing_says(judging);
    uint8_t lookup[LOOKUP_BYTES];
    View__Waiting *live = NULL;
    bool later = false;
    if (row == NULL || state == 0) {
        return 0;
    }
    int r = lookup_of(judging, row, lookup);
    if (r != 0) {
        return r < 0 ? r : 0;
    }
    r = waiting_get(judging->txn, judging->arena, lookup, &live);
    // What is there does not begin again, what is not there does nothing else.
    if (r < 0 || (r == 1) != (state == WAITING_ARRIVED)) {
        return r < 0 ? r : 0;
    }
    r = row->id != NULL ? 0 : put_off(judging, lookup, &later);
    if (r != 0 || later) {
        return r;
    }
    Touchbus__Routing *routing = make(judging, state);
    r = routing == NULL ? -ENOMEM : put_lookup(judging, lookup, &routing->interaction);
    if (r == 0 && state == WAITING_ARRIVED) {
        r = stamp_arrived(judging, row, routing);
    }
    if (r == 0 && live != NULL && live->state == WAITING_QUEUED && state != WAITING_ASKED) {
        r = rules_arm(judging->arena, judging->event, TIMER_ROUTING, lookup, 0);
    }
    return r;
}

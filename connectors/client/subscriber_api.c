// SPDX-License-Identifier: Apache-2.0
// Subscribing as touchbus.h describes it: options in, events out, settlements back.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connectors/client/event.h"
#include "connectors/client/subscriber.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/reasons.h"

enum {
    CONNECTING_LOOK_MS = 20, // how often a connection that is being made is looked at
    LOOK_MS = 250,           // how soon a lost one is noticed
};

// ---- options

static int copy_list(const char *const *list, size_t bytes_max, size_t *ret_n, char ***ret) {
    size_t n = 0;
    while (list != NULL && list[n] != NULL) {
        if (n >= FILTER_PATTERNS_MAX || event_check_text(list[n], bytes_max) != 0) {
            return -EINVAL;
        }
        n++;
    }
    *ret = calloc(n + 1, sizeof(**ret));
    if (*ret == NULL) {
        return -ENOMEM;
    }
    for (; *ret_n < n; ++*ret_n) {
        (*ret)[*ret_n] = strdup(list[*ret_n]);
        if ((*ret)[*ret_n] == NULL) {
            return -ENOMEM;
        }
    }
    return 0;
}

static void free_list(char **list, size_t n) {
    for (size_t i = 0; i < n; i++) {
        free(list[i]);
    }
    free(list);
}

static char *default_member(void) {
    char host[NAME_BYTES_MAX / 2] = "";
    char *member;
    if (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0') {
        host[0] = '-';
    }
    return asprintf(&member, "%s-%ld", host, (long)getpid()) < 0 ? NULL : member;
}

static void set_start(Touchbus__Start *start, const touchbus_subscriber_options *options) {
    touchbus__start__init(start);
    switch (options->start) {
    case TOUCHBUS_START_END:
        start->from_case = TOUCHBUS__START__FROM_END;
        start->end = true;
        break;
    case TOUCHBUS_START_BEGINNING:
        start->from_case = TOUCHBUS__START__FROM_BEGINNING;
        start->beginning = true;
        break;
    case TOUCHBUS_START_SEQUENCE:
        start->from_case = TOUCHBUS__START__FROM_SEQUENCE;
        start->sequence = options->start_sequence;
        break;
    case TOUCHBUS_START_TIME:
        start->from_case = TOUCHBUS__START__FROM_TIME_US;
        start->time_us = options->start_time_us;
        break;
    }
}

static int fill_subscribe(touchbus_subscriber *subscriber,
                          const touchbus_subscriber_options *options) {
    Touchbus__Subscribe *subscribe = &subscriber->subscribe;
    touchbus__subscribe__init(subscribe);
    touchbus__filter__init(&subscriber->filter);
    set_start(&subscriber->start, options);
    subscribe->name = strdup(options->name == NULL ? "" : options->name);
    subscribe->member = options->member == NULL ? default_member() : strdup(options->member);
    if (subscribe->name == NULL || subscribe->member == NULL) {
        return -ENOMEM;
    }
    subscribe->filter = &subscriber->filter;
    subscriber->filter.customer = options->customer;
    subscribe->credit = subscriber->credit;
    subscriber->in_batches = options->one_a_lane;
    subscribe->any_lane = subscriber->named && options->one_a_lane;
    subscribe->lane_ahead = subscriber->named && !options->one_a_lane ? LANE_AHEAD_MAX : 0;
    subscribe->until_sequence = options->until_sequence;
    subscribe->until_us = options->until_time_us;
    int r = copy_list(options->types, ID_BYTES_MAX, &subscriber->filter.n_types,
                      &subscriber->filter.types);
    return r != 0 ? r
                  : copy_list(options->channels, NAME_BYTES_MAX, &subscriber->filter.n_channels,
                              &subscriber->filter.channels);
}

static int check_options(const touchbus_subscriber_options *options) {
    bool until = options->until_sequence != 0 || options->until_time_us != 0;
    if ((options->name != NULL &&
         (until || event_check_text(options->name, NAME_BYTES_MAX) != 0)) ||
        (options->member != NULL && event_check_text(options->member, NAME_BYTES_MAX) != 0) ||
        options->credit > SUBSCRIBE_CREDIT_MAX || options->start < TOUCHBUS_START_END ||
        options->start > TOUCHBUS_START_TIME) {
        return -EINVAL;
    }
    return 0;
}

int touchbus_subscriber_new(const touchbus_subscriber_options *options, touchbus_subscriber **ret) {
    int r = check_options(options);
    if (r != 0) {
        return r;
    }
    touchbus_subscriber *subscriber = calloc(1, sizeof(*subscriber));
    if (subscriber == NULL) {
        return -ENOMEM;
    }
    subscriber->named = options->name != NULL;
    subscriber->credit = options->credit != 0 ? options->credit
                         : subscriber->named  ? SUBSCRIBER_CREDIT_DEFAULT
                                              : SUBSCRIBER_CREDIT_UNNAMED;
    subscriber->arena = arena_new(SUBSCRIBER_ARENA_BYTES_MAX);
    char why[CERTIFICATE_WHY_BYTES];
    r = subscriber->arena == NULL ? -ENOMEM : fill_subscribe(subscriber, options);
    r = r != 0 ? r : keys_load(&subscriber->keys, options->key, options->broker_key, why);
    r = r != 0 ? r : endpoint_format(options->broker, ENDPOINT_SUBSCRIBE, subscriber->endpoint);
    // The first socket at once, so that a program may poll it.
    r = r != 0 ? r : subscriber_open(subscriber, clock_monotonic_us());
    if (r != 0) {
        touchbus_subscriber_free(subscriber);
        return r;
    }
    *ret = subscriber;
    return 0;
}

touchbus_subscriber *touchbus_subscriber_free(touchbus_subscriber *subscriber) {
    if (subscriber != NULL) {
        subscriber_settle(subscriber, clock_monotonic_us());
        subscriber_leave(subscriber);
        settlement_clear(&subscriber->settlement);
        touchbus_event_free(subscriber->waiting);
        gate_clear(&subscriber->gate);
        endpoint_close(subscriber->socket, &subscriber->handshake);
        keys_clear(&subscriber->keys);
        arena_free(subscriber->arena);
        free_list(subscriber->filter.types, subscriber->filter.n_types);
        free_list(subscriber->filter.channels, subscriber->filter.n_channels);
        free(subscriber->subscribe.name);
        free(subscriber->subscribe.member);
        free(subscriber);
    }
    return NULL;
}

// ---- events

// Looks at the next event of the Delivery at hand. 0; -EBADMSG; -ENOMEM.
static int look_at_event(touchbus_subscriber *subscriber) {
    const ProtobufCBinaryData *bytes = &subscriber->delivery->events[subscriber->delivery_next];
    return subscriber->waiting != NULL
               ? 0
               : event_from_bytes(bytes->data, bytes->len, &subscriber->waiting);
}

// It is given out, or forgotten.
static void pass_event(touchbus_subscriber *subscriber) {
    subscriber->waiting = NULL;
    if (++subscriber->delivery_next == subscriber->delivery->n_events) {
        subscriber->delivery = NULL;
    }
}

// What the program may be given now. 0 and the verdict; -EBADMSG; -ENOMEM.
static int judge_event(touchbus_subscriber *subscriber, enum gate_verdict *ret) {
    struct gate *gate = &subscriber->gate;
    const uint64_t *lanes;
    size_t n_lanes;
    *ret = GATE_OPEN;
    if (!subscriber->named) {
        return 0;
    }
    if (!event_lanes(subscriber->waiting, &lanes, &n_lanes)) {
        return -EBADMSG;
    }
    int r = gate_judge(gate, lanes, n_lanes, subscriber->delivery->failures, ret);
    return r == 0 && *ret == GATE_OPEN
               ? gate_enter(gate, lanes, n_lanes, subscriber->waiting->outline.sequence)
               : r;
}

// The next event of the Delivery at hand. 1 and *ret; 0: none is left, or a lane is closed until
// the program settles; -EBADMSG; -ENOMEM.
static int take_event(touchbus_subscriber *subscriber, touchbus_event **ret) {
    const Touchbus__Delivery *delivery = subscriber->delivery;
    enum gate_verdict verdict = GATE_FORGET;
    size_t index = 0;
    while (verdict == GATE_FORGET && subscriber->delivery != NULL) {
        index = subscriber->delivery_next;
        int r = look_at_event(subscriber);
        r = r != 0 ? r : judge_event(subscriber, &verdict);
        if (r != 0) {
            return r;
        }
        if (verdict == GATE_FORGET) {
            touchbus_event_free(subscriber->waiting);
            pass_event(subscriber);
        }
    }
    if (verdict != GATE_OPEN) {
        return 0;
    }
    touchbus_event *event = subscriber->waiting;
    event->generation = subscriber->generation;
    if (index < delivery->n_attempts && delivery->attempts[index] > 1) {
        event->attempt = delivery->attempts[index];
    }
    subscriber->position = event->outline.sequence;
    subscriber->received_us = event->outline.received_us;
    subscriber->received_known = true;
    pass_event(subscriber);
    *ret = event;
    return 1;
}

static void give_credit_back(touchbus_subscriber *subscriber, int64_t now_us) {
    settlement_grant(&subscriber->settlement, 1, now_us);
    if (subscriber->settlement.grant >= (subscriber->credit + 3) / 4) {
        subscriber_settle(subscriber, now_us);
    }
}

static void wait_for_more(const touchbus_subscriber *subscriber, int64_t now_us, int64_t end_us) {
    int64_t look_ms = subscriber->state == SUBSCRIBER_CONNECTING ? CONNECTING_LOOK_MS : LOOK_MS;
    int64_t due_us = subscriber_deadline(subscriber);
    int64_t wake_us = now_us + look_ms * CLOCK_US_PER_MS;
    if (subscriber->state != SUBSCRIBER_CONNECTING && due_us < wake_us) {
        wake_us = due_us;
    }
    wake_us = wake_us < end_us ? wake_us : end_us;
    int64_t wait_ms = wake_us <= now_us ? 1 : (wake_us - now_us + 999) / CLOCK_US_PER_MS;
    if (subscriber->state == SUBSCRIBER_CONNECTING) {
        endpoint_wait_connected(subscriber->socket, (int)wait_ms);
    } else if (subscriber->socket != NULL && subscriber->delivery == NULL) {
        endpoint_wait(subscriber->socket, (int)wait_ms);
    } else {
        usleep((useconds_t)(wait_ms * CLOCK_US_PER_MS));
    }
}

// Of a Delivery at hand, without looking at the time closely: beats and settlements bear some
// milliseconds. 1 and *ret; 0: there is more to do first.
static int take_at_hand(touchbus_subscriber *subscriber, touchbus_event **ret) {
    int64_t now_us = clock_coarse_us();
    subscriber_tend(subscriber, now_us);
    if (subscriber->delivery == NULL || take_event(subscriber, ret) != 1) {
        return 0;
    }
    if (!subscriber->named) {
        give_credit_back(subscriber, now_us);
    }
    return 1;
}

int touchbus_subscriber_next(touchbus_subscriber *subscriber, int timeout_ms,
                             touchbus_event **ret) {
    if (subscriber->delivery != NULL && take_at_hand(subscriber, ret) == 1) {
        return 1;
    }
    int64_t now_us = clock_monotonic_us();
    int64_t end_us = now_us + timeout_ms * CLOCK_US_PER_MS;
    for (;;) {
        subscriber_tend(subscriber, now_us);
        if (subscriber->delivery != NULL) {
            int r = take_event(subscriber, ret);
            if (r == 1 && !subscriber->named) {
                give_credit_back(subscriber, now_us);
            }
            if (r == -EBADMSG) {
                subscriber_lost(subscriber, now_us); // never skip what cannot be read
                continue;
            }
            if (r != 0) {
                return r;
            }
        }
        if (subscriber->delivery == NULL && subscriber_receive(subscriber, now_us)) {
            continue;
        }
        if (subscriber->state == SUBSCRIBER_ENDED) {
            return TOUCHBUS_ENDED;
        }
        if (subscriber->state == SUBSCRIBER_REFUSED) {
            return TOUCHBUS_REFUSED;
        }
        subscriber_settle(subscriber, now_us);
        if (now_us >= end_us) {
            return 0;
        }
        wait_for_more(subscriber, now_us, end_us);
        now_us = clock_monotonic_us();
    }
}

// ---- settlements

// Whether the event came by the connection that stands now, and was not settled: an older one's
// comes again. Its lanes besides.
static bool still_held(const touchbus_subscriber *subscriber, const touchbus_event *event,
                       const uint64_t **ret_lanes, size_t *ret_n_lanes) {
    return subscriber->named && subscriber->state == SUBSCRIBER_LIVE &&
           event->generation == subscriber->generation &&
           event_lanes(event, ret_lanes, ret_n_lanes) &&
           gate_has(&subscriber->gate, *ret_lanes, *ret_n_lanes, touchbus_event_sequence(event));
}

static void send_if_due(touchbus_subscriber *subscriber, int64_t now_us) {
    size_t enough = (subscriber->credit + 3) / 4;
    if (settlement_full(&subscriber->settlement) ||
        settlement_count(&subscriber->settlement) >= enough ||
        (subscriber->delivery == NULL && !subscriber->in_batches)) {
        subscriber_settle(subscriber, now_us);
    }
    subscriber_tend(subscriber, now_us);
}

int touchbus_subscriber_delivered(touchbus_subscriber *subscriber, const touchbus_event *event) {
    int64_t now_us = clock_coarse_us();
    uint64_t sequence = touchbus_event_sequence(event);
    const uint64_t *lanes;
    size_t n_lanes;
    if (still_held(subscriber, event, &lanes, &n_lanes)) {
        settlement_add_delivered(&subscriber->settlement, sequence, now_us);
        gate_delivered(&subscriber->gate, lanes, n_lanes, sequence);
        send_if_due(subscriber, now_us);
    }
    return 0;
}

static int fail(touchbus_subscriber *subscriber, const touchbus_event *event, bool reject,
                const char *detail) {
    int64_t now_us = clock_monotonic_us();
    uint64_t sequence = touchbus_event_sequence(event);
    const uint64_t *lanes;
    size_t n_lanes;
    if (!still_held(subscriber, event, &lanes, &n_lanes)) {
        return 0;
    }
    int r = settlement_add_failure(&subscriber->settlement, sequence, reject, detail, now_us);
    if (r == 0) {
        gate_failed(&subscriber->gate, lanes, n_lanes, sequence);
        send_if_due(subscriber, now_us);
    }
    return r;
}

int touchbus_subscriber_retry(touchbus_subscriber *subscriber, const touchbus_event *event,
                              const char *detail) {
    return fail(subscriber, event, false, detail);
}

int touchbus_subscriber_reject(touchbus_subscriber *subscriber, const touchbus_event *event,
                               const char *detail) {
    return fail(subscriber, event, true, detail);
}

int touchbus_subscriber_run(touchbus_subscriber *subscriber) {
    int64_t now_us = clock_monotonic_us();
    subscriber_settle(subscriber, now_us);
    subscriber_tend(subscriber, now_us);
    return 0;
}

// ---- state

void touchbus_subscriber_progress(const touchbus_subscriber *subscriber, touchbus_progress *ret) {
    *ret = subscriber->progress;
}

uint32_t touchbus_subscriber_refusal(const touchbus_subscriber *subscriber, const char **ret_reason,
                                     const char **ret_detail, const char **ret_hint) {
    const struct handshake_refusal *unheard = &subscriber->unheard;
    if (unheard->code != 0) {
        handshake_tell(unheard, ret_reason, ret_detail, ret_hint);
        return unheard->code;
    }
    const struct reason *reason = reason_find(subscriber->refusal);
    if (ret_reason != NULL) {
        *ret_reason = reason->name;
    }
    if (ret_detail != NULL) {
        *ret_detail = subscriber->refusal_detail;
    }
    if (ret_hint != NULL) {
        *ret_hint = reason->hint;
    }
    return subscriber->refusal;
}

const uint8_t *touchbus_subscriber_incarnation(const touchbus_subscriber *subscriber) {
    return subscriber->incarnation;
}

size_t touchbus_subscriber_pending(const touchbus_subscriber *subscriber) {
    return subscriber->delivery == NULL
               ? 0
               : subscriber->delivery->n_events - subscriber->delivery_next;
}

bool touchbus_subscriber_connected(const touchbus_subscriber *subscriber) {
    return subscriber->state == SUBSCRIBER_LIVE;
}

void *touchbus_subscriber_socket(touchbus_subscriber *subscriber) {
    return subscriber->socket;
}

int touchbus_subscriber_reload_keys(touchbus_subscriber *subscriber) {
    char why[CERTIFICATE_WHY_BYTES];
    int r = keys_reload(&subscriber->keys, why);
    if (r == 1 && subscriber->socket != NULL) {
        int64_t now_us = clock_monotonic_us();
        subscriber_settle(subscriber, now_us);
        subscriber_leave(subscriber);
        subscriber_lost(subscriber, now_us);
    }
    return r < 0 ? r : 0;
}

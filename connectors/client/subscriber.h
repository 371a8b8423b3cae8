// SPDX-License-Identifier: Apache-2.0
// The subscriber inside the library: its connection (subscriber.c) and what a program does with it
// (subscriber_api.c).
#pragma once

#include "connectors/client/endpoint.h"
#include "connectors/client/gate.h"
#include "connectors/client/settlement.h"
#include "connectors/client/touchbus.h"
#include "schemas/base/arena.h"
#include "schemas/limits.h"
#include "touchbus.pb-c.h"

enum {
    SUBSCRIBER_CREDIT_DEFAULT = 1024,
    SUBSCRIBER_CREDIT_UNNAMED = 8192,
    SUBSCRIBER_ARENA_BYTES_MAX = 32 << 20, // one Delivery, unpacked
    SUBSCRIBER_BEATS_MAX = 8192, // what a program that only runs leaves unread: beats of 2 hours
    SUBSCRIBER_ANSWER_MS = 5000, // to a Subscribe
    SUBSCRIBER_CONNECT_MS_MIN = 250, // for a connection to stand, twice as long each time
    SUBSCRIBER_RETRY_MS_MIN = 50,
    SUBSCRIBER_RETRY_MS_MAX = 2000,
    SUBSCRIBER_LINGER_MS = 250, // for the good-bye
    SUBSCRIBER_SETTLE_MS = 20,  // a settlement waits no longer for company
};

enum subscriber_state {
    SUBSCRIBER_IDLE,       // no socket; opens one at retry_us
    SUBSCRIBER_CONNECTING, // the Subscribe could not be sent yet
    SUBSCRIBER_ASKED,      // it was; no answer yet
    SUBSCRIBER_LIVE,
    SUBSCRIBER_ENDED,
    SUBSCRIBER_REFUSED,
};

struct touchbus_subscriber {
    enum subscriber_state state;
    char endpoint[ENDPOINT_BYTES_MAX];
    bool named;
    bool in_batches; // settlements wait for next, run or free
    uint32_t credit;
    Touchbus__Subscribe subscribe; // owns its strings and lists
    Touchbus__Filter filter;
    Touchbus__Start start; // as the options said

    void *socket;
    struct keys keys;
    struct handshake handshake;
    struct arena *arena; // of delivery
    const Touchbus__Delivery *delivery;
    size_t delivery_next;
    touchbus_event *waiting; // the next one of it, where that was looked at; NULL: not yet
    struct gate gate;        // named: what the program holds, by lane
    struct settlement settlement;
    uint32_t generation; // one more with each connection; settlements of an older one are dropped
    uint32_t n_failed;   // connections in a row that came to nothing
    int64_t retry_us, asked_us, heard_us, said_us; // monotonic

    uint8_t incarnation[INCARNATION_BYTES];
    bool incarnation_known;
    bool position_known; // unnamed: where to go on
    uint64_t position;
    bool received_known;
    int64_t received_us;  // of the last event handed out, wall clock
    bool restart_by_time; // the log is another one: positions mean nothing, times do
    touchbus_progress progress;
    uint32_t refusal;
    char refusal_detail[DETAIL_BYTES_MAX + 1];
    struct handshake_refusal unheard; // the handshakes say why there is no connection
};

// A fresh socket that connects in the background. 0; negative errno, to be tried again.
int subscriber_open(touchbus_subscriber *subscriber, int64_t now_us);
// Everything that is due at now_us: connect, subscribe, beat, settle. Never blocks.
void subscriber_tend(touchbus_subscriber *subscriber, int64_t now_us);
// Takes one frame. False: there is none.
bool subscriber_receive(touchbus_subscriber *subscriber, int64_t now_us);
// Sends what is collected. False: it could not be sent, the connection was given up.
bool subscriber_settle(touchbus_subscriber *subscriber, int64_t now_us);
// The connection is gone or cannot be trusted: over with it, a fresh one follows.
void subscriber_lost(touchbus_subscriber *subscriber, int64_t now_us);
// Says good-bye, so that what it held goes to the others at once.
void subscriber_leave(touchbus_subscriber *subscriber);
// The monotonic time something is due by itself.
int64_t subscriber_deadline(const touchbus_subscriber *subscriber);

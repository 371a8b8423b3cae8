// SPDX-License-Identifier: Apache-2.0
// The publish endpoint: a ROUTER on tcp and ipc. Frames come in, requests come out; replies go the
// other way. What cannot be read is answered here with its reason, counted, and never reaches the
// tick. Never blocks.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/access.h"
#include "broker/broker.h"
#include "schemas/base/arena.h"
#include "touchbus.pb-c.h"

struct publish;

enum { PUBLISH_PEER_BYTES_MAX = 255 }; // a ZeroMQ routing id

// One request on its way through a tick; lives in the tick's arena.
struct request {
    struct request *next;
    uint8_t peer[PUBLISH_PEER_BYTES_MAX];
    size_t peer_size;
    size_t bytes;      // of its frame
    uint32_t n_events; // counted against its peer's credit
    uint64_t owner;    // a hash of its key, without keys of its peer: whose share of the tick it is
    const struct grant *grant; // what its key may do
    const Touchbus__PublishRequest *message;
    Touchbus__PublishReply reply; // filled in by the tick
};

// Binds. -EADDRINUSE where another process has the port; every error was logged.
int publish_new(struct broker *broker, struct publish **ret);
struct publish *publish_free(struct publish *publish); // sends what waits for up to a second
void *publish_socket(struct publish *publish);         // for zmq_poll
// Before a tick's first publish_receive: takes up the keys in force, and, where requests wait, lets
// those on the socket stand in line with them, each owner in its own. 0, or -ENOMEM.
int publish_begin(struct publish *publish, struct arena *arena);
// The next request that can be read; malformed ones before it are answered, at most
// PUBLISH_BAD_MAX in a call. 0 and *ret; 1 where nothing (more) waits; -ENOMEM.
int publish_receive(struct publish *publish, struct arena *arena, struct request **ret);
// Takes off the socket what a full tick leaves there, for the next one, and refuses as busy what is
// over its peer's credit: a peer may have PUBLISH_CREDIT events unanswered. 0, or -ENOMEM.
int publish_drain(struct publish *publish, struct arena *arena);
// How long the next tick may wait for something else to happen: -1: for ever, nothing was left; 0:
// not at all.
int publish_wait_ms(const struct publish *publish);
// The request's key is over its quota: others go first for a while.
void publish_mark_flood(struct publish *publish, const struct request *request);
// Sends a reply. A peer that is gone, or does not take its replies, loses it: it asks again.
void publish_reply(struct publish *publish, struct arena *arena, struct request *request);

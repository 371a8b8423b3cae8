// SPDX-License-Identifier: Apache-2.0
// Inside the delivery thread: peers (connections), named subscriptions, streams (unnamed ones), and
// who calls whom:
//   delivery.c        the loop
//   peer.c            the socket: peers come, speak, lapse; frames and messages go out
//   join.c            Subscribe: finds or makes what a peer takes part in
//   named.c           one named subscription: reads for its state machine, fills its members'
//   frames stream.c          one unnamed subscription record.c          subscriptions to and from
//   the log, through jobs of the tick delivery_verbs.c  what operators ask
#pragma once

#include <zmq.h>

#include "broker/access.h"
#include "broker/delivery/delivery.h"
#include "broker/delivery/feed.h"
#include "broker/delivery/filter.h"
#include "broker/delivery/frame.h"
#include "broker/delivery/subscription.h"
#include "schemas/base/lane_table.h"
#include "touchbus.pb-c.h"

enum {
    PEER_ID_BYTES_MAX = 255,            // ZeroMQ's routing id
    STREAM_CREDIT_MAX = 1 << 20,        // granted and not used, unnamed
    SUBSCRIPTION_SLOTS_MAX = 256 << 10, // unsettled events read ahead, of all subscriptions
    PARKED_ALL_MAX = 100000,            // parked lanes of all subscriptions
    PUMP_MS_MAX = 10,                   // one subscription's turn within a slice
    SLICE_MS_MAX = 30,                  // below READ_SLICE_MS_MAX
    PUMP_EVENTS = 2048,                 // looked at between two looks at the clock
    RECORD_MS = 100,                    // a moving cursor is written this often
    RECORD_PASSED_MS = 1000,            // one that only passed over events
    PROGRESS_MS = 1000,                 // a moving position is told this often
    RETRY_SEND_MS = 5,                  // a peer's queue was full
    MESSAGES_MAX = 256,                 // taken from the socket before other work
};

struct record_job;

// A named subscription.
struct named {
    char name[NAME_BYTES_MAX + 1];
    struct filter filter;
    struct filter_names names;
    struct subscription *subscription;
    struct named *previous, *next;
    struct peer *peers;     // members, and those that wait for its creation
    struct record_job *job; // the one record under way
    bool creating;          // not on disk yet
    uint64_t blocks_read;
    int64_t created_us, recorded_us, told_us;
    uint64_t floor;                 // of the last record on disk
    uint64_t floor_next;            // of the one under way
    uint64_t lost_first, lost_last; // to be told to the members
    uint64_t damaged;               // the sequence where reading stopped; 0: none
    bool again;                     // history goes out once more
    struct filter again_filter;
    struct filter_names again_names;
    uint64_t again_until, again_rate;
    int64_t again_since_us;
    uint64_t again_sent;
    char owner[NAME_BYTES_MAX + 1]; // the name of the key that made it; "": without keys
};

// An unnamed subscription.
struct stream {
    struct filter filter;
    struct filter_names names;
    uint64_t position; // looked at up to here
    uint64_t until_sequence;
    int64_t until_us;
    uint64_t credit;
    uint64_t blocks_read;
    uint64_t told, told_head; // position and head last told
    int64_t told_us;
    bool ended;
    bool by_index; // filtered by customer, and the index is not exhausted
    uint64_t *sequences;
    size_t n_sequences, next_sequence;
    uint64_t sequences_upto;
};

// A connection.
struct peer {
    uint8_t id[PEER_ID_BYTES_MAX];
    size_t id_size;
    uint64_t key;                         // in the table
    char user[CERTIFICATE_KEY_CHARS + 1]; // whose public key speaks; "": without keys
    char owner[NAME_BYTES_MAX + 1];       // and the name it has
    char label[NAME_BYTES_MAX + 1];
    struct peer *previous, *next;             // of all
    struct peer *named_previous, *named_next; // of its subscription
    struct named *named;
    struct member member;
    uint64_t n_failures; // that it has told on this connection
    bool waits;          // to be answered Subscribed once the subscription is on disk
    bool created;
    uint32_t credit;
    struct stream *stream;
    struct frame frame;
    struct outlet *outlet;
    zmq_msg_t unsent; // its queue was full
    bool has_unsent;
    int64_t heard_us, said_us, since_us;
    bool unreachable; // its connection ended; what it said before that may still wait to be read
    bool gone;        // to be let go of at the end of this turn
};

struct delivery {
    struct broker *broker;
    void *socket;
    struct feed *feed;
    struct access_reader access;
    struct arena *arena;
    struct outlets *outlets;
    struct subscription_budget budget;
    struct named *named, *named_last;
    size_t n_named;
    struct peer *peers, *peers_last;
    size_t n_peers;
    struct lane_table peers_by_key;
    atomic_uint_fast64_t floor;
    uint64_t erasures;   // of broker->erasures, that were looked at
    int64_t now_us;      // monotonic, of this turn
    bool heard_all;      // nothing waited any more when this turn had read
    int64_t refusals_us; // since when they are counted, for the log
    unsigned n_refusals;
    bool more; // somebody has more to do at once
    char detail[DETAIL_BYTES_MAX];
};

// ---- peer.c
// NULL: unknown; *ret_key is where it is, or would be, in the table.
struct peer *peer_find(const struct delivery *delivery, const void *id, size_t id_size,
                       uint64_t *ret_key);
struct peer *peer_new(struct delivery *delivery, const void *id, size_t id_size, uint64_t key);
void peer_free(struct delivery *delivery, struct peer *peer); // it has left
// To somebody who takes part in nothing.
void peer_refuse_unknown(struct delivery *delivery, const void *id, size_t id_size, uint32_t code,
                         const char *detail);
int peer_open_socket(struct delivery *delivery);
// Takes what waits on the socket, at most MESSAGES_MAX. 0 or a negative errno (peer_receive.c).
int peer_receive(struct delivery *delivery);
void peer_tend(struct delivery *delivery); // beats, lapses, unsent frames
// Sends what the peer's frame holds. False: the peer can take nothing more now (or is gone).
bool peer_flush(struct delivery *delivery, struct peer *peer);
bool peer_can_take(const struct peer *peer);
// False: it was dropped, for the peer has one that waits, or is gone.
bool peer_say(struct delivery *delivery, struct peer *peer, Touchbus__BrokerMessage *message);
void peer_refuse(struct delivery *delivery, struct peer *peer, uint32_t code, uint64_t floor,
                 const char *detail);
void peer_subscribed(struct delivery *delivery, struct peer *peer, uint64_t cursor, bool created);
// Leaves what it takes part in; freed at the end of the turn.
void peer_leave(struct delivery *delivery, struct peer *peer);
void peer_sweep(struct delivery *delivery); // frees those that are gone
int64_t peer_due(const struct delivery *delivery);

// ---- join.c
// Never fails: what cannot be is refused. grant is of the peer's key.
void join_subscribe(struct delivery *delivery, struct peer *peer, const struct grant *grant,
                    const Touchbus__Subscribe *subscribe);
// Keys or roles have changed: who may not have what it takes part in any more is refused.
void join_judge_anew(struct delivery *delivery);
// "beginning", "end", a sequence or RFC 3339, as a cursor: everything up to it is passed over. 0 or
// a reason code with *ret_detail.
int join_parse_position(struct delivery *delivery, const char *text, uint64_t *ret_cursor,
                        const char **ret_detail);

// ---- named.c
struct named *named_find(const struct delivery *delivery, const char *name);
// Takes filter. NULL: memory. Subscription is the caller's to set.
struct named *named_new(struct delivery *delivery, const char *name, struct filter *filter);
struct named *named_free(struct delivery *delivery, struct named *named);
void named_add_peer(struct named *named, struct peer *peer);
void named_remove_peer(struct named *named, struct peer *peer);
void named_pump(struct delivery *delivery, struct named *named, int64_t until_us);
bool named_stands_at_damage(const struct named *named);
void named_stop_at_damage(struct named *named, uint64_t sequence);
void named_memory_short(const struct named *named) __attribute__((noreturn));
// named_read.c: each reads some. True where there may be more at once.
bool named_read_ahead(struct delivery *delivery, struct named *named);
bool named_drain(struct delivery *delivery, struct named *named);
bool named_read_again(struct delivery *delivery, struct named *named);
void named_settle(struct delivery *delivery, struct peer *peer, const Touchbus__Settle *settle);
int64_t named_due(const struct delivery *delivery, const struct named *named);
int subscription_make(struct delivery *delivery, uint64_t cursor,
                      const struct settled_range *ranges, size_t n_ranges,
                      struct subscription **ret);

// ---- erased.c
// The erasing event of a lane is about to be offered, or is visible.
void erased_at(struct named *named, uint64_t lane, uint64_t sequence);
void erased_tend(struct delivery *delivery); // looks at parked lanes where somebody was erased
// Whether a failed event is of a person who was erased after it: nobody can repair it.
bool erased_gives_up(struct delivery *delivery, const struct named *named, uint64_t sequence);
// *ret: {"sequence", "connectors": [{"name", "state", "cursor"}]} of every subscription that takes
// the erasing event. 0 or a reason code.
int erased_connectors(struct delivery *delivery, const char *customer, json_t **ret);

// ---- stream.c
struct stream *stream_free(struct stream *stream);
void stream_pump(struct delivery *delivery, struct peer *peer, int64_t until_us);

// ---- record.c and record_load.c
int64_t record_wall_ahead_us(void); // of the monotonic clock
int record_load(struct delivery *delivery);
// Writes the subscription where it changed and nothing is under way; force: whatever the interval.
void record_tend(struct delivery *delivery, struct named *named, bool force);
bool record_settled(const struct named *named); // nothing to write, nothing under way
// Its record and rows go; the job is the tick's.
bool record_remove(struct delivery *delivery, struct named *named);
// Lets go of a job under way, when the subscription goes.
void record_abandon(struct named *named);

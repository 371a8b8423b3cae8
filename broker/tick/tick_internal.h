// SPDX-License-Identifier: Apache-2.0
// The tick's state, shared by tick.c (the loop), admit.c (requests and events into the tick) and
// tick_commit.c (out of it, to disk). Everything between two ticks is in the stores; what lies in
// the arena ends with the tick.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/bounds.h"
#include "broker/broker.h"
#include "broker/fold/fold.h"
#include "broker/stores/pending.h"
#include "broker/tick/ahead_beside.h"
#include "broker/tick/beside.h"
#include "broker/tick/decide.h"
#include "broker/tick/dedup.h"
#include "broker/tick/producers.h"
#include "broker/tick/publish.h"
#include "broker/tick/sealing.h"
#include "broker/tick/tick.h"
#include "broker/tick/timers.h"

// An accepted event of this tick; its sequence is tick->first plus its index.
struct record {
    const Touchbus__Event *event; // stamped; it changes no more
    uint8_t id_hash[BLOCK_ID_HASH_BYTES];
    uint64_t body_hash;
};

// What became of one event.
struct outcome {
    uint32_t code;
    uint64_t sequence, customer;
    const char *detail;
    ProtobufCBinaryData verdict; // for the ack, in the arena; empty: none
};

// A tick that was decided and is on its way to the disk, or there and not yet answered. While it
// is, the next one may be decided by its changes.
struct flight {
    struct broker *broker;
    struct arena *arena;       // its events and requests
    struct arena *ahead_arena; // its events that the thread beside has read
    struct sealing sealing;    // its events as they go into a block
    struct keys_reader *keys;  // seals blocks
    struct pending *changes;   // of the view
    struct record *records;    // TICK_RECORDS_MAX
    size_t n_records;
    uint64_t first;
    size_t n_erased;
    struct log_txn *log; // NULL: nothing to commit
    struct request *requests;
    struct tick_job *jobs[TICK_JOBS_MAX];
    int job_results[TICK_JOBS_MAX];
    size_t n_jobs;
    bool is_open;   // until it is answered
    bool is_beside; // the commit thread has it
    int done;       // eventfd: it is through
};

struct tick {
    struct broker *broker;
    struct publish *publish;
    struct decide *decide;
    const struct policy *policy; // decide's, taken from the broker's holder
    struct dedup *dedup;
    struct producers *producers;
    struct fold *fold;
    struct log_reader *reader;
    struct keys_reader *keys_reader;   // seals what is put aside
    struct keys_reader *view_keys;     // of the open view
    struct keys_reader *seal_keys;     // seals blocks ahead
    struct flight flight;              // the tick before
    struct beside *beside;             // commits it while this thread decides the next
    struct ahead_beside *ahead_beside; // reads requests' events before this thread comes to them
    bool jobs_wait;                    // the last tick had no room for them
    int signals;                       // signalfd
    bool reload;                       // SIGHUP came
    uint64_t *unsaid; // customers whose erasure the log does not know, found at the start
    size_t n_unsaid;
    struct timers timers;
    char *policy_before; // in force when the log last heard of one, and still to be said; NULL
    bool policy_unkept;  // the log's row of it is to be written, with what is written next

    // the open tick
    bool open, reading;
    struct arena *arena;
    struct arena *ahead_arena; // events that the thread beside has read
    struct pending *changes;   // of the view
    struct sealing sealing;    // its events as they go into a block
    struct block_head block;   // of the log, last read; n_events 0: none
    bool log_touched;          // something beside events must be committed
    struct log_txn *log;
    struct view_txn *view;
    int64_t now_us;   // receipt of its events, never decreasing
    int64_t quota_us; // monotonic, for quotas
    uint64_t first;
    uint64_t customers_last;
    struct record *records; // TICK_RECORDS_MAX
    size_t n_records;
    size_t n_events, n_bytes; // taken in
    struct request *requests, **requests_end;
    size_t n_erased; // persons, by its events
    struct tick_job *jobs[TICK_JOBS_MAX];
    int job_results[TICK_JOBS_MAX];
    size_t n_jobs;
};

// ---- admit.c. 0, or a negative errno (fatal).
int admit_request(struct tick *tick, struct request *request);
// An event from outside, unnumbered; changed in place. request: NULL where an operator published
// it, who is told what is wrong with it instead of its being put aside.
int admit_event(struct tick *tick, Touchbus__Event *event, const struct request *request,
                struct outcome *ret);
// Stamps sequence and receipt, folds, keeps for the block. The caller has seen tick_has_room.
int admit_append(struct tick *tick, Touchbus__Event *event,
                 const uint8_t id_hash[static BLOCK_ID_HASH_BYTES], uint64_t body_hash);
// The follow-ups of a decision right behind what caused them, and what they cause in turn.
int admit_caused(struct tick *tick, const struct decide_place *place, struct decision *decision);
bool tick_has_room(const struct tick *tick);
// For so many small events of the system at once, each of another customer.
bool tick_has_room_for(const struct tick *tick, size_t n);
struct decide_place tick_place(const struct tick *tick); // where the open tick judges

// ---- tick_jobs.c
// As tick_append. erases: the event erases its customer.
int tick_append_own(struct tick *tick, const char *type, json_t *data, const char *actor,
                    uint64_t customer, bool erases, uint64_t *ret_sequence);

// ---- erase.c. 0, or a negative errno (fatal).
int erase_load(struct tick *tick);  // finds erasures that the log does not know, at a start
int erase_go_on(struct tick *tick); // says some of them, inside an open tick

// ---- tick_commit.c: what was decided, to the disk and into the view. 0, or a negative errno.
// What the open tick has still to write, into its transactions; nothing is on its way.
int commit_prepare(struct tick *tick);
// Some of what commit_prepare and commit_flight would do, for the time while a tick is on its way.
// *ret_more: there is more of it.
int commit_ahead(struct tick *tick, bool *ret_more);
// Makes the events durable, then visible. Any one thread. Ends the process where it cannot.
void commit_flight(struct flight *flight);
// Wakes those who read what has become visible.
void commit_tell(const struct flight *flight);

// ---- flight.c
int flight_new(struct tick *tick); // its memory
void flight_free(struct tick *tick);
// Waits for the tick that is on its way, if one is, and answers it.
void flight_settle(struct tick *tick);
int flight_descriptor(const struct tick *tick); // readable once the one on its way is there
// The open tick goes on its way and is closed; nothing else may be on its way. beside: on the
// commit thread, so that the next one can begin; else it is answered when this returns.
int flight_send(struct tick *tick, bool beside);
// The open tick is forgotten, and what was refused without there being one.
void tick_close(struct tick *tick);

// ---- reload.c
// SIGHUP, inside an open tick: reload_configuration (reload.h) by "operator". 0, or a negative
// errno.
int reload_on_signal(struct tick *tick);

// ---- policy_told.c. 0, or a negative errno.
int policy_told_load(struct tick *tick);
int policy_told_say(struct tick *tick); // where policy_before is not NULL; inside an open tick
int policy_told_note(struct tick *tick);

// ---- quarantine.c
// Sealed with that customer's key (0 nobody's). 0; REASON_BUSY where QUARANTINE_MAX rows are held,
// or the request's key has its share; negative errno.
int quarantine_put(struct tick *tick, const uint8_t key[static BLOCK_ID_HASH_BYTES],
                   uint64_t customer, const uint8_t *event, size_t size,
                   const Touchbus__Event *open, const struct request *request, const char *detail);
int quarantine_load(struct tick *tick); // counts the rows, at start

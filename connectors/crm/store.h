// SPDX-License-Identifier: Apache-2.0
// The customer file as a sink: a batch of events is one transaction, each event in a savepoint of
// its own, and the fence of its lane moves with it. So an event is in the file exactly once,
// however often it is delivered, and one that the file refuses takes no other with it.
//
// The rule of logs: a file belongs to one log. When the broker's incarnation is another one (the
// log was made anew, or restored from a backup), the file is copied aside, as
// FILE.<incarnation>-<microseconds>, and emptied: its sequences and customer numbers mean nothing
// in the new log.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    STORE_INCARNATION_BYTES = 16,
    STORE_WHY_BYTES = 256,
    STORE_KEYS_MAX = 16,         // of one event
    STORE_SWEEP_KEYS_MAX = 1000, // asked about at a time
};

struct store_key {
    const char *kind, *value;
};

// An event as the file takes it. All borrowed; NULL where the event has none.
struct store_event {
    uint64_t sequence, customer, lane;
    uint32_t rank;
    const char *id, *source, *type, *channel, *direction;
    const char *time, *received;  // RFC 3339; time may be NULL
    int64_t time_us, received_us; // time_us is received_us where the event has no time
    const char *data;             // JSON text
    const char *actor, *cause, *cost;
    const char *scores; // what the broker counted for it: a JSON list
    struct store_key keys[STORE_KEYS_MAX];
    size_t n_keys;
    bool erases;   // the customer's rows go; a store_sweep has to follow
    bool redacted; // of somebody who was erased: the fence moves, no row is made
};

// What a sweep needs of the world around it.
struct store_sweep {
    // Which of the keys belong to somebody who was erased. 0; a negative errno: ask later.
    int (*tombstoned)(void *user, const struct store_key *keys, size_t n_keys, bool *ret);
    void (*beat)(void *user); // called now and then, while it takes long
    void *user;
};

struct store;

// 0; negative errno after one logged line. path is copied.
int store_open(const char *path, struct store **ret);
struct store *store_close(struct store *store); // takes NULL; returns NULL

// Begins the transaction of a batch; where the file belongs to another log it is emptied first. 0;
// STORE_AWAY and why: the file cannot be written now.
int store_begin(struct store *store, const uint8_t incarnation[static STORE_INCARNATION_BYTES],
                char *why);
enum store_outcome {
    STORE_APPLIED,
    STORE_REPEAT,   // at or below the fence of its lane: without effect
    STORE_REJECTED, // the file does not take it, and will not; the rest of the batch goes on
    STORE_AWAY,     // busy, full, broken: the batch is rolled back, try it later
};
enum store_outcome store_apply(struct store *store, const struct store_event *event, char *why);
// 0: on disk; STORE_AWAY and why: nothing of the batch is.
int store_commit(struct store *store, char *why);

struct store_result {
    enum store_outcome outcome; // never STORE_AWAY
    char why[STORE_WHY_BYTES];  // where it was rejected
};
// All of that for a batch: begin, apply each, commit. 0 and a result an event; STORE_AWAY and why:
// what is not in here comes again.
int store_deliver(struct store *store, const uint8_t incarnation[static STORE_INCARNATION_BYTES],
                  const struct store_event *events, size_t n_events, struct store_result *results,
                  char *why);
// After a commit with an event that erases: what the erased left in free pages, the write-ahead log
// and in copies of other logs goes too (erasure.h). 0; STORE_AWAY and why: do it again later, and
// do not confirm the erasure before. Cheap where there is nothing to do.
int store_sweep(struct store *store, const struct store_sweep *sweep, char *why);

// SPDX-License-Identifier: Apache-2.0
// The table of verbs and the call, one request being answered. Where a verb runs is a column of
// the table: on the query thread at once (READ) or in slices (SLICED), on the tick or delivery
// thread as a job, in a child process, or on the one helper thread for copies. query_run.c carries
// calls between them; a verb's functions only fill in the answer.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/access.h"
#include "broker/broker.h"
#include "broker/tick/tick.h"
#include "schemas/base/arena.h"
#include "schemas/limits.h"
#include "schemas/reasons.h"
#include "touchbus.pb-c.h"

enum {
    CALLS_MAX = 256,           // requests that wait, run in slices or are away; beyond: busy
    CALLS_OF_A_KEY_MAX = 64,   // of them, of one key's name
    CALL_PEER_BYTES_MAX = 255, // a ZeroMQ routing id
    CALL_SLICE_US = 1000,      // one slice of a long verb: what it may delay a quick one
    CALL_CHILDREN_MAX = 2,     // child processes at a time; beyond: busy
    CALL_ROWS_MAX = 200,       // rows in one part of a list
    MIN_SEQUENCE_WAIT_US = 1000000,
};

struct call;
struct query;
struct upkeep;

enum verb_place {
    VERB_READ,     // run once, here
    VERB_SLICED,   // run here again and again while it returns VERB_AGAIN
    VERB_TICK,     // run here (a check, may be NULL), then write on the tick thread, then then
    VERB_DELIVERY, // run here (a check, may be NULL), then delivery_command, then then
    VERB_UPKEEP,   // run here (a check, may be NULL), then on_upkeep on that thread, then then
    VERB_CHILD,    // a child process of this program with `option`, then then with its last line
    VERB_HELPER,   // run on the helper thread, one at a time, then then
};

enum { VERB_AGAIN = 1 };

// What a key needs to ask for it (verbs_right.c). A row that says nothing is for administrators.
enum verb_right {
    VERB_FOR_ADMIN,
    VERB_FOR_WATCH,        // names, numbers and states; nothing of events or persons
    VERB_FOR_SUBSCRIPTION, // watch, or the right to the subscription that argument name names
    VERB_FOR_READ,         // some field of the view; the answer leaves out the others
    VERB_FOR_TIMELINE,     // that field
    VERB_FOR_MERGE,        // the right to merge and split customers
    VERB_FOR_OWN_NAME,     // the argument name belongs to the key
    VERB_FOR_ANY_KEY,
};

struct verb_argument {
    const char *name;
    bool required;
    const char *default_text; // NULL: none
    bool repeats;             // may stand several times
};

struct verb {
    const char *name;
    enum verb_place place;
    const struct verb_argument *arguments; // the last has no name
    // 0: the answer (or refusal) stands in the call; VERB_AGAIN; a negative errno: REASON_INTERNAL.
    // then may return VERB_AGAIN, too.
    int (*run)(struct call *call);
    int (*write)(struct call *call, struct tick *tick); // 0 or a reason code; negative: fatal
    int (*on_upkeep)(struct call *call, struct upkeep *upkeep); // as write
    int (*then)(struct call *call);                             // on the query thread again; as run
    const char *option; // VERB_CHILD: e.g. "--verify-view"; VERB_DELIVERY: its name there
    bool acts;          // an administrative act: logged as admin.acted when it worked
    enum verb_right right;
};

// NULL where there is none.
const struct verb *verbs_find(const char *name);
const struct verb *verbs_rows(size_t *ret_n);

// What the verbs of the query thread read with. Owned by the query thread.
struct query_reads {
    struct log_reader *log;
    struct keys_reader *keys;
    struct arena *arena; // reset before each step of a call
    struct names *names;
    struct registry *registry;
    struct access_reader access;
};

// ---- for verbs

// What the key that asked may do; NULL: it is not known any more. On the query thread, valid in
// this turn.
const struct grant *call_grant(const struct call *call);
// Whether the call's key may ask for its verb; else the call is refused.
bool call_is_allowed(struct call *call);
// Takes out of customer.show's answer, or a sheet of customer.screen's, what the key may not read,
// and names it in `withheld`. Takes and returns the reference.
json_t *call_withhold(const struct call *call, json_t *profile);

struct broker *call_broker(const struct call *call);
struct query_reads *call_reads(const struct call *call);
const struct verb *call_verb(const struct call *call);
// The argument's value, its default, or NULL. Borrowed from the call.
const char *call_argument(const struct call *call, const char *name);
// The index-th value of an argument that repeats; NULL past the end.
const char *call_argument_at(const struct call *call, const char *name, size_t index);
// A whole number argument. False where it is missing, not a number, or beyond max: the call is then
// refused.
bool call_number(struct call *call, const char *name, uint64_t max, uint64_t *ret);
// The customer was found: its number takes the place of the key or reference it was asked by, so
// that those reach neither another thread nor the log.
void call_name_customer(struct call *call, uint64_t customer);
json_t *call_body(const struct call *call); // borrowed, NULL where there was none
// Ends the call with a reason code. Returns 0, for `return call_refuse(...)`. No personal data.
int call_refuse(struct call *call, uint32_t code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// The answer; takes the reference (NULL: memory is short). Returns 0 or -ENOMEM.
int call_answer(struct call *call, json_t *answer);
json_t *call_answer_borrow(const struct call *call);
uint32_t call_code(const struct call *call);
void call_as_of(struct call *call, uint64_t sequence);
// Sends a part ahead of the answer; takes the reference. 0 also where it has to wait for the peer:
// the next step comes only when it is gone. -ENOMEM, -E2BIG.
int call_part(struct call *call, json_t *part);
// What a sliced verb keeps between its slices; freed with the call.
void *call_progress(const struct call *call);
void call_keep(struct call *call, void *progress, void (*free_progress)(void *progress));
// Whether a slice that began at `began_us` (monotonic) should end.
bool call_slice_over(int64_t began_us);

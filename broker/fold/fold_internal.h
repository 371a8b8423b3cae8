// SPDX-License-Identifier: Apache-2.0
// What the fold's files share. Everything lives in fold->arena until fold_flush.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/fold/fold.h"
#include "broker/fold/fold_recent.h"
#include "broker/fold/item_index.h"
#include "broker/fold/items.h"
#include "schemas/base/arena.h"
#include "schemas/body.h"
#include "schemas/limits.h"
#include "view.pb-c.h"

enum {
    FOLD_LINES_BYTES_MAX = 64 << 10,
    FOLD_CONTESTED_BITS = 1 << 16,
    // Customers that one event touches: its own, who had its keys, two merged ones with their
    // leaves.
    FOLD_TOUCHED_MAX = 1 + 3 * EVENT_IDENTITIES_MAX + 2 * STAMP_LEAVES_MAX,
};

struct fold_names;
struct fold_customers;
struct fold_scores;

struct fold {
    struct fold_rows *rows; // by the number of the type's name, NAMES_MAX + 1; 0: no name's
    struct arena *arena;    // of the records that are kept
    struct arena *scratch;  // until the next flush
    struct fold_names *names;
    struct fold_customers *customers;
    struct fold_lookups *lookups;
    struct fold_scores *scores;
    size_t record_bytes;                          // see fold_record_bytes
    uint64_t customers_last;                      // the last customer number given
    bool customers_last_moved;                    // since the last flush
    bool stamped;                                 // see fold_keys.c
    uint64_t contested[FOLD_CONTESTED_BITS / 64]; // see fold_may_be_contested
    bool timers_moved;                            // see fold_timers_moved
};

// Columns that grow, by what they have room for.
enum fold_room {
    ROOM_KEY_LOOKUPS,
    ROOM_COUNTERS,
    ROOM_KEYS,
    ROOM_ATTRIBUTES,
    ROOM_INTERESTS,
    ROOM_N,
};

// A customer's record as it is kept. Nothing in it is borrowed from an event: it outlives ticks.
// What a kept customer takes decides how many are.
struct fold_customer {
    uint64_t number;
    View__Customer *record;     // but for the last interactions
    View__Person *person;       // opened; NULL while nobody asked
    struct fold_recent *recent; // NULL: none
    uint8_t *sealed;            // room of its own for the person's seal
    uint32_t sealed_room;
    uint32_t slot;         // where it is found
    uint32_t size;         // of the record as it was read or written
    uint16_t room[ROOM_N]; // elements
    bool touched;          // since the last flush
    bool person_changed;
};

// Rows of one type in a table: from the first one, n of them.
struct fold_span {
    uint16_t first, n;
};
// What the tables have of one type.
struct fold_rows {
    bool known; // the rest is filled in
    struct fold_span attributes, interests, items, own;
};

// The members of an event's data: as somebody else read them, or read when the first is asked for.
struct fold_data {
    const struct body_members *members; // NULL: not read
    struct body_members own;
};

// One event on its way through the fold.
struct fold_step {
    struct fold *fold;
    struct view_txn *txn;
    const Touchbus__Event *event;
    struct fold_data *data; // of the event; NULL: not kept
    struct fold_customer *touched;
    View__Customer *customer; // its decoded record, changed in place
    int64_t time_us;          // the event's, clamped to its receipt + FOLD_AHEAD_US
};

// ---- fold_names.c: texts that repeat, as numbers
int fold_names_new(struct view_txn *txn, struct fold_names **ret);
struct fold_names *fold_names_free(struct fold_names *names);
// *ret: the number, 0 ("other") where NAMES_MAX are taken; a new one is written.
int fold_names_intern(struct fold_names *names, struct view_txn *txn, const char *name,
                      uint32_t *ret);
const char *fold_names_text(const struct fold_names *names, uint32_t number);

// ---- fold_lookups.c: whose a key or a reference is (fold_owner in fold.h)
struct fold_lookups *fold_lookups_new(void);
struct fold_lookups *fold_lookups_free(struct fold_lookups *lookups);
// *ret: the owner, who is the customer from here on where there was none.
int fold_owner_claim(struct fold *fold, struct view_txn *txn,
                     const uint8_t lookup[static LOOKUP_BYTES], uint64_t customer, uint64_t *ret);
int fold_owner_set(struct fold *fold, struct view_txn *txn,
                   const uint8_t lookup[static LOOKUP_BYTES], uint64_t customer);
int fold_owner_drop(struct fold *fold, struct view_txn *txn,
                    const uint8_t lookup[static LOOKUP_BYTES]);

// ---- fold_customers.c: decoded records, written in key order
struct fold_customers *fold_customers_new(void);
struct fold_customers *fold_customers_free(struct fold_customers *customers);
// The record, empty where the view has none. Valid until the next fold_apply.
int fold_customers_read(struct fold *fold, struct view_txn *txn, uint64_t number,
                        struct fold_customer **ret);
// The same, to be changed in place; written by the next flush.
int fold_customers_get(struct fold *fold, struct view_txn *txn, uint64_t number,
                       struct fold_customer **ret);
int fold_customers_flush(struct fold *fold, struct view_txn *txn);
// Lets go of everything where there is not room for FOLD_TOUCHED_MAX more: before an event.
int fold_customers_reserve(struct fold *fold, struct view_txn *txn);
// Keeps fewer: for tests, before the first event. At least 2 * FOLD_TOUCHED_MAX.
void fold_customers_limit(struct fold *fold, size_t n);
// Lets go of everything before the next event: somebody in it was erased.
void fold_customers_drop(struct fold *fold);
// What is sealed in the step's record, opened; empty where its key is destroyed. Who changes it
// sets touched->person_changed.
int fold_person(struct fold_step *step, View__Person **ret);
// Room for one more element behind n, in a column of a record that came from fold_customers_get.
// NULL where memory is short.
void *fold_grow(struct fold_step *step, enum fold_room column, void *elements, size_t n,
                size_t element_size);
// The customer is nothing but a number again.
void fold_customer_empty(struct fold_customer *customer);

// ---- fold_prefetch.c: one pointer a step, each when the one before has had time to arrive
// Steps 1 to 4: what an event reads of it. Borrowed, as below.
void fold_prefetch_kept(const struct fold_customer *kept, unsigned step);
// Steps 0 to 3: what a flush reads of it, all there is.
void fold_prefetch_changed(const struct view_txn *txn, uint64_t number,
                           const struct fold_customer *kept, unsigned step);

// ---- leaving one row out, to see its test fail (tests/catalogue); fold_left_out.c
enum { FOLD_LEAVE_TIMELINE = -1 }; // counters and timeline
#ifdef TOUCHBUS_FAULTPOINTS
// From here on, of events of this type (borrowed), the row with this number is left out, counted
// over all tables in the order in which they run; NULL: none is.
void fold_leave_out(const char *type, int row);
// How many rows the last event of that type met.
int fold_rows_met(void);
// Counts one row of the step's event; true: pass it over.
bool fold_left_out(const struct fold_step *step);
bool fold_timeline_left_out(const struct fold_step *step);
#else
#define fold_left_out(step) false
#define fold_timeline_left_out(step) false
#endif

// ---- fold_score.c: the scorecard's cells, as customers
struct fold_scores *fold_scores_new(void);
struct fold_scores *fold_scores_free(struct fold_scores *scores);
int fold_scores_flush(struct fold *fold, struct view_txn *txn);

// ---- what an event changes, one file a concern. 0 or a negative errno
int fold_keys(struct fold_step *step);       // fold_keys.c
int fold_references(struct fold_step *step); // fold_keys.c
int fold_keys_unbind(struct fold_step *step, const uint8_t lookup[static LOOKUP_BYTES]);
int fold_stamped_load(struct view_txn *txn, bool *ret); // fold_keys.c
int fold_identity(struct fold_step *step);              // fold_identity.c
int fold_contested_load(struct fold *fold, struct view_txn *txn);
int fold_erasure(struct fold_step *step);    // fold_erasure.c
int fold_superseded(struct fold_step *step); // fold_quotes.c
int fold_standing(struct fold_step *step);   // fold_standing.c
// The order's part in what its customer is worth, where the event changed it.
int fold_worth(struct fold_step *step, View__Item *order);
int fold_timers(struct fold_step *step); // fold_timers.c
int fold_timers_erase(struct fold_step *step);
int fold_timeline(struct fold_step *step, uint32_t type, uint32_t channel); // fold_timeline.c
int fold_counters(struct fold_step *step, uint32_t type, uint32_t channel); // fold_timeline.c
int fold_contact(struct fold_step *step);                                   // fold_contact.c
int fold_attributes(struct fold_step *step, struct fold_span rows);         // fold_profile.c
int fold_interests(struct fold_step *step, struct fold_span rows);          // fold_interests.c
int fold_visit(struct fold_step *step);
int fold_items(struct fold_step *step,
               struct fold_span rows); // fold_rows.c; of nobody's events, too
struct fold_span fold_attributes_of(const char *type);
struct fold_span fold_interests_of(const char *type);
struct fold_span fold_items_of(const char *type);
int fold_scores(struct fold_step *step);  // fold_score.c
int fold_routing(struct fold_step *step); // fold_routing.c

// ---- fold_items.c: one item that an event changes
struct fold_item {
    enum item_kind kind;
    enum view_table table;
    uint8_t key[ITEM_KEY_BYTES];
    size_t key_size;
    View__Item *item;
    bool changed;
    struct item_place place; // in VIEW_INDEX, as of its row
};
// The item of the event's customer with this id, or of nobody; a new one where there is none. 0; 1:
// no item may have this id; negative errno.
int fold_item_get(struct fold_step *step, enum item_kind kind, const char *id,
                  struct fold_item *ret);
// NULL where it has none.
View__Attribute *fold_item_member(const struct fold_item *item, const char *name);
// Writes the member where it beats the one that stands. What it points to stays valid until the
// put.
int fold_item_set(struct fold_step *step, struct fold_item *item, const View__Attribute *written);
// Writes the row where anything changed.
int fold_item_put(struct fold_step *step, struct fold_item *item);

// ---- fold_index.c: where rules find it
// Before anything is set in it; a new one has no place yet.
void fold_index_before(const struct fold_step *step, struct fold_item *item);
// Where its row is written.
int fold_index_put(struct fold_step *step, struct fold_item *item);

// ---- helpers over an event's data (fold_data.c)
bool fold_data_find(const struct fold_step *step, const char *name, struct body_value *ret);
// A text member, copied and terminated in the fold's arena; NULL where it is missing, of another
// kind, empty or over ID_BYTES_MAX. Whole numbers are read as text.
char *fold_data_text(const struct fold_step *step, const char *name);
bool fold_data_unsigned(const struct fold_step *step, const char *name, uint64_t *ret);
// A member's own msgpack bytes, copied; false where missing or nil. Over size_max: false, counted
// as dropped.
bool fold_data_raw(const struct fold_step *step, const char *name, size_t size_max,
                   ProtobufCBinaryData *ret);
// ---- values as msgpack, in the arena (fold_values.c). False: memory is short, or there is none
bool fold_pack_integer(struct fold_step *step, int64_t value, ProtobufCBinaryData *ret);
// "" becomes nil; at most NAME_BYTES_MAX.
bool fold_pack_text(struct fold_step *step, const char *text, ProtobufCBinaryData *ret);
// What the data's lines under this name cost together, in millionths.
bool fold_pack_total(struct fold_step *step, const char *name, ProtobufCBinaryData *ret);

// The rows of this type in a table that is in the order of types; each row begins with its type
// (const char *).
struct fold_span fold_rows_of(const void *rows, size_t n, size_t row_size, const char *type);

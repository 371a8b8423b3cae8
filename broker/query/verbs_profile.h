// SPDX-License-Identifier: Apache-2.0
// One customer being answered: the joined profile with what it is read by. Between the verbs that
// show one (verbs_profile.c, verbs_items.c, verbs_screen.c, verbs_why.c, verbs_export.c). How it is
// read: reading.c.
#pragma once

#include "broker/policy/policy.h"
#include "broker/profile/conditions.h"
#include "broker/profile/profile.h"
#include "broker/profile/standing.h"
#include "broker/query/verbs_read.h"

struct reading {
    struct call *call;
    const struct policy *policy; // in force when it began
    int64_t now_us;              // what a function of the read time goes by
    struct profile profile;
    struct profile_standing standing;
};

// Runs one verb inside a read transaction of the view, with a reading of the customer that the
// arguments name; where that one is unknown or erased the call is refused.
int reading_with(struct call *call, int (*body)(struct reading *reading));
// The same for each whom the argument key may mean, the likeliest first; of one snapshot, each
// reading valid until the next.
int reading_candidates(struct call *call, int (*body)(struct reading *reading));
// The same of somebody nobody knows: no leaf, a guest.
int reading_of_nobody(struct call *call, int (*body)(struct reading *reading));
// Fills profile and standing of the customer that `leaf` is a part of; call, policy and now_us are
// set. 0; 1: there is none; negative errno.
int reading_fill(struct reading *reading, struct view_txn *txn, struct arena *arena, uint64_t leaf);

// Everything customer.show says, a new reference; NULL where memory is short.
json_t *reading_json(struct reading *reading);
// Without items, interests and what else an export gives by itself.
json_t *reading_person_json(struct reading *reading);
json_t *reading_preferences_json(struct reading *reading);

// ---- verbs_activity.c: over all leaves
json_t *activity_counters_json(struct reading *reading);
// The last interactions, newest first.
json_t *reading_recent_json(struct reading *reading, size_t max);
json_t *activity_recent_json(struct reading *reading);
json_t *activity_events_json(struct reading *reading);
json_t *activity_dropped_json(struct reading *reading);
json_t *activity_first_json(struct reading *reading);
json_t *activity_last_json(struct reading *reading);

// ---- verbs_items.c
// What a kind's list is called; NULL: it is shown by nobody.
const char *item_list_name(enum item_kind kind);
// By the list's name; 0: there is none.
enum item_kind item_kind_of(const char *list);
json_t *item_json(const struct reading *reading, const View__Item *item);
// At most max, the last changed first. NULL where memory is short or a row cannot be read.
json_t *items_json(const struct reading *reading, enum item_kind kind, size_t max);
// A quote's or order's state as of the reading; a member's text, "" where there is none.
const char *item_text(const struct reading *reading, const View__Item *item, const char *name);
const char *quote_state(const struct reading *reading, const View__Item *item);
// A consent, of which nothing holds any more.
bool item_is_expired(const struct reading *reading, const View__Item *item);
// What is still to be paid, by currency.
json_t *balance_json(const struct reading *reading);
// A value of the view as JSON; NULL for nil and what is none.
json_t *attribute_json(const View__Attribute *attribute);

// ---- verbs_must_not.c: rows of what, why and what else there is to say
json_t *must_not_json(const struct reading *reading);

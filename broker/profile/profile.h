// SPDX-License-Identifier: Apache-2.0
// One customer as it is read: the leaves that were merged, joined. Works on any transaction of the
// view with keys (view_use_keys): the tick's own (after fold_flush) and a reader's. It writes
// nothing, asks no clock and no configuration. Joined values follow register.h, never the order in
// which leaves were merged, so that a split gives back exactly what each had.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/bounds.h"
#include "broker/fold/items.h"
#include "broker/stores/view.h"
#include "schemas/base/arena.h"
#include "schemas/limits.h"
#include "view.pb-c.h"

struct profile_leaf {
    uint64_t number;
    View__Customer *record; // never NULL
    View__Person *person;   // opened; empty where its key is destroyed
};

struct profile {
    struct view_txn *txn;
    struct arena *arena;                          // everything lies in it
    uint64_t customer;                            // the surviving one, which names them all
    struct profile_leaf leaves[STAMP_LEAVES_MAX]; // the surviving one first, then by number
    size_t n_leaves;
};

// The surviving customer of a leaf (itself, where it was not merged). 0; 1: there is no such
// customer; negative errno.
int profile_survivor(struct view_txn *txn, struct arena *arena, uint64_t leaf, uint64_t *ret);
// Whose these keys (n lookups of LOOKUP_BYTES each) may be: their owners and who else came with
// them since then, surviving customers without erased ones, who was there last first. One key that
// only one customer had gives that one. 0 or a negative errno.
int identity_candidates(struct view_txn *txn, struct arena *arena, const uint8_t *lookups, size_t n,
                        int64_t since_us, uint64_t ret[static CANDIDATES_MAX], size_t *ret_n);
// The customer that this leaf is a part of. 0; 1: there is none; -EBADMSG, -ENOMEM. An erased one
// is read as well: its record says so.
int profile_read(struct view_txn *txn, struct arena *arena, uint64_t leaf, struct profile *ret);
// The joined attribute; NULL where nobody set it. A deleted one (nil) is given as it stands.
const View__Attribute *profile_attribute(const struct profile *profile, const char *name);
// An attribute's text, borrowed from the arena; NULL where it is none.
const char *profile_text(const struct profile *profile, const char *name);
// The same of a value at hand: of text and whole numbers, copied into the arena.
const char *profile_value_text(const struct profile *profile, const View__Attribute *attribute);
// Every joined attribute, by name.
int profile_attributes(const struct profile *profile, View__Attribute ***ret, size_t *ret_n);
// Joined items of a kind, the ones that changed last first, at most max (of each leaf the max that
// changed last are read).
int profile_items(const struct profile *profile, enum item_kind kind, size_t max, View__Item ***ret,
                  size_t *ret_n);
// Joined open items of a kind that the index has (quotes that hold beyond now_us, cases), the ones
// that changed last first; what others there are costs nothing. Of cases at most max are read, the
// last changed; 1: there are more than max, or a merged customer has more rows to look at than
// INDEX_ROWS_MAX: what was not given is not known. 0; a negative errno.
int profile_open(const struct profile *profile, enum item_kind kind, int64_t now_us, size_t max,
                 View__Item ***ret, size_t *ret_n);
// What a leaf's consents of this very channel and purpose ("" any) say, an item an address; some of
// others may be among them. 0; 1: there are more than max; a negative errno.
int profile_consents(const struct profile *profile, size_t leaf, const char *channel,
                     const char *purpose, size_t max, View__Item ***ret, size_t *ret_n);
// Every item of a kind, page by page, at most max of PROFILE_PAGE_ITEMS, each joined and once; page
// is zero at first. Of the profile only its leaves' numbers are used. 1: there may be more; 0:
// these were the last; a negative errno.
enum { PROFILE_PAGE_ITEMS = 32 };
struct profile_page {
    size_t leaf;
    uint8_t last[ITEM_KEY_BYTES];
};
int profile_items_page(const struct profile *profile, enum item_kind kind,
                       struct profile_page *page, size_t max, View__Item ***ret, size_t *ret_n);
// One of them; *ret NULL where there is none.
int profile_item(const struct profile *profile, enum item_kind kind, const char *id,
                 View__Item **ret);
// The same by the lookup of its id.
int profile_item_at(const struct profile *profile, enum item_kind kind,
                    const uint8_t lookup[static LOOKUP_BYTES], View__Item **ret);
// A member of an item; NULL where it has none.
const View__Attribute *profile_member(const View__Item *item, const char *name);
// Its text in the arena (of text and whole numbers); NULL where it is none.
const char *profile_member_text(const struct profile *profile, const View__Item *item,
                                const char *name);
// The sequence of the word by which a "restriction" or an "objection" is in force; 0: none is. It
// holds for the customer, whichever leaf it was said of, until it is lifted for any of them later.
int profile_privacy(const struct profile *profile, const char *kind, uint64_t *ret_sequence);
// The index-th leaf as if it stood for itself.
struct profile profile_leaf_alone(const struct profile *profile, size_t index);

// What the orders that count come to in this currency (in others they count by nothing), and how
// many different ones were placed.
int profile_value(const struct profile *profile, const char *currency, int64_t *ret_micro,
                  uint64_t *ret_orders);

// ---- interests: needs and products, by how often and when
struct profile_interest {
    enum interest_kind kind;
    const char *term;
    uint64_t number;   // how often, in the days that are kept
    uint32_t last_day; // since 1970 UTC
    double weight;     // a day counts half after each half_life_us
};
// The leaves' interests added up, the heaviest first, weighed as of this time.
int profile_interests(const struct profile *profile, int64_t now_us, int64_t half_life_us,
                      struct profile_interest **ret, size_t *ret_n);

// SPDX-License-Identifier: Apache-2.0
// One customer, joined, as the JSON of customer.show. A table of members: each is made from the
// reading alone, and a role may be given or refused each by its name.
#include "broker/query/verbs_profile.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/policy/holder.h"
#include "broker/query/verbs_all.h"
#include "broker/query/verbs_names.h"
#include "schemas/base/clock.h"
#include "schemas/base/money.h"
#include "schemas/body.h"
#include "schemas/envelope.h"

enum {
    SHOW_ITEMS_MAX = 50,     // of each kind but orders and quotes, which have CALL_ROWS_MAX
    SHOW_INTERESTS_MAX = 50, // needs, products: each
    LEDGER_SCANNED_MAX = 4096,
};

json_t *read_time_json(int64_t time_us) {
    char text[CLOCK_TEXT_BYTES];
    return json_string(clock_format_rfc3339(time_us, text));
}

json_t *read_interaction_json(struct call *call, struct view_txn *txn, uint64_t sequence,
                              int64_t time_us, uint32_t type, uint32_t channel) {
    struct names *names = call_reads(call)->names;
    return json_pack("{s:I, s:o, s:s, s:s}", "sequence", (json_int_t)sequence, "time",
                     read_time_json(time_us), "type", names_get(names, txn, type), "channel",
                     channel != 0 ? names_get(names, txn, channel) : "");
}

static json_t *customer_json(uint64_t customer) {
    char number[24];
    return json_string(envelope_format_customer(customer, number));
}

// ---- who they are

static json_t *number_json(struct reading *reading) {
    return customer_json(reading->profile.customer);
}

static json_t *leaves_json(struct reading *reading) {
    json_t *leaves = json_array();
    for (size_t i = 0; i < reading->profile.n_leaves; i++) {
        const struct profile_leaf *leaf = &reading->profile.leaves[i];
        json_array_append_new(
            leaves, json_pack("{s:o, s:I, s:I, s:I}", "customer", customer_json(leaf->number),
                              "first_sequence", (json_int_t)leaf->record->first_sequence,
                              "last_sequence", (json_int_t)leaf->record->last_sequence, "events",
                              (json_int_t)leaf->record->events));
    }
    return leaves;
}

static bool is_leaf(const struct reading *reading, uint64_t number) {
    for (size_t i = 0; i < reading->profile.n_leaves; i++) {
        if (reading->profile.leaves[i].number == number) {
            return true;
        }
    }
    return false;
}

struct ledger {
    const struct reading *reading;
    json_t *rows;
    size_t n_scanned;
};

static int ledger_row(void *user, const void *key, size_t key_size, const void *value,
                      size_t size) {
    struct ledger *ledger = user;
    const struct reading *reading = ledger->reading;
    const View__Ledger *row =
        view__ledger__unpack(arena_allocator(reading->profile.arena), size, value);
    uint64_t sequence;
    if (row == NULL || key_size != sizeof(sequence)) {
        return -EBADMSG;
    }
    memcpy(&sequence, key, sizeof(sequence));
    if (is_leaf(reading, row->from) || is_leaf(reading, row->into)) {
        json_t *vetoes = json_array();
        for (size_t i = 0; i < row->n_vetoes; i++) {
            json_array_append_new(vetoes, customer_json(row->vetoes[i]));
        }
        json_array_append_new(ledger->rows, json_pack("{s:I, s:s, s:o, s:o, s:o}", "sequence",
                                                      (json_int_t)be64toh(sequence), "kind",
                                                      row->split ? "split" : "merged", "from",
                                                      customer_json(row->from), "into",
                                                      customer_json(row->into), "vetoes", vetoes));
    }
    return ++ledger->n_scanned == LEDGER_SCANNED_MAX;
}

static json_t *merged_json(struct reading *reading) {
    const struct profile *profile = &reading->profile;
    const View__Customer *record = profile->leaves[0].record;
    struct ledger ledger = {.reading = reading, .rows = json_array()};
    bool was_merged = profile->n_leaves > 1 || record->merges > 0 || record->n_vetoes > 0;
    int r = ledger.rows != NULL && was_merged
                ? view_scan(profile->txn, VIEW_LEDGER, NULL, 0, true, ledger_row, &ledger)
                : 0;
    if (r < 0) {
        json_decref(ledger.rows);
        return NULL;
    }
    return ledger.rows;
}

static json_t *keys_json(struct reading *reading) {
    json_t *keys = json_array();
    for (size_t leaf = 0; leaf < reading->profile.n_leaves; leaf++) {
        const View__Person *person = reading->profile.leaves[leaf].person;
        for (size_t i = 0; i < person->n_keys; i++) {
            const View__Key *key = person->keys[i];
            json_array_append_new(keys,
                                  json_pack("{s:s, s:s, s:b, s:I, s:o}", "kind", key->kind, "value",
                                            key->value, "verified", (int)key->verified, "sequence",
                                            (json_int_t)key->sequence, "customer",
                                            customer_json(reading->profile.leaves[leaf].number)));
        }
    }
    return keys;
}

static json_t *attributes_json(struct reading *reading) {
    View__Attribute **rows;
    size_t n;
    json_t *attributes = json_object();
    if (attributes == NULL || profile_attributes(&reading->profile, &rows, &n) != 0) {
        json_decref(attributes);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        json_t *value = attribute_json(rows[i]);
        if (value != NULL) {
            json_object_set_new(
                attributes, rows[i]->name,
                json_pack("{s:o, s:I}", "value", value, "sequence", (json_int_t)rows[i]->sequence));
        }
    }
    return attributes;
}

// ---- what they did

struct counter {
    uint32_t channel, type;
    uint64_t number;
    int64_t first_us, last_us;
};

static int compare_counters(const void *a, const void *b) {
    const struct counter *left = a, *right = b;
    return left->channel != right->channel ? (left->channel < right->channel ? -1 : 1)
           : left->type != right->type     ? (left->type < right->type ? -1 : 1)
                                           : 0;
}

static int compare_first(const void *a, const void *b) {
    const struct counter *left = a, *right = b;
    return left->first_us != right->first_us ? (left->first_us < right->first_us ? -1 : 1)
                                             : compare_counters(a, b);
}

// Numbers add up; the first is the earliest, the last the latest.
static size_t join_counters(struct counter *counters, size_t n) {
    size_t n_kept = 0;
    qsort(counters, n, sizeof(*counters), compare_counters);
    for (size_t i = 0; i < n; i++) {
        if (n_kept == 0 || compare_counters(&counters[n_kept - 1], &counters[i]) != 0) {
            counters[n_kept++] = counters[i];
            continue;
        }
        struct counter *kept = &counters[n_kept - 1];
        kept->number += counters[i].number;
        kept->first_us =
            counters[i].first_us < kept->first_us ? counters[i].first_us : kept->first_us;
        kept->last_us = counters[i].last_us > kept->last_us ? counters[i].last_us : kept->last_us;
    }
    qsort(counters, n_kept, sizeof(*counters), compare_first);
    return n_kept;
}

static size_t collect_counters(const struct profile *profile, struct counter **ret) {
    size_t n = 0;
    for (size_t leaf = 0; leaf < profile->n_leaves; leaf++) {
        n += profile->leaves[leaf].record->n_counter_number;
    }
    *ret = arena_calloc(profile->arena, n + 1, sizeof(**ret));
    n = 0;
    for (size_t leaf = 0; *ret != NULL && leaf < profile->n_leaves; leaf++) {
        const View__Customer *record = profile->leaves[leaf].record;
        for (size_t i = 0; i < record->n_counter_number; i++) {
            (*ret)[n++] = (struct counter){record->counter_channel[i], record->counter_type[i],
                                           record->counter_number[i], record->counter_first_us[i],
                                           record->counter_last_us[i]};
        }
    }
    return n;
}

static json_t *counters_json(struct reading *reading) {
    struct names *names = call_reads(reading->call)->names;
    struct view_txn *txn = reading->profile.txn;
    struct counter *counters;
    size_t n = collect_counters(&reading->profile, &counters);
    json_t *list = counters != NULL ? json_array() : NULL;
    n = list != NULL ? join_counters(counters, n) : 0;
    for (size_t i = 0; i < n; i++) {
        const char *channel =
            counters[i].channel != 0 ? names_get(names, txn, counters[i].channel) : "";
        json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:o, s:o}", "channel", channel,
                                              "type", names_get(names, txn, counters[i].type),
                                              "number", (json_int_t)counters[i].number, "first",
                                              read_time_json(counters[i].first_us), "last",
                                              read_time_json(counters[i].last_us)));
    }
    return list;
}

json_t *reading_recent_json(struct reading *reading, size_t max) {
    const struct profile *profile = &reading->profile;
    size_t left[STAMP_LEAVES_MAX];
    json_t *recent = json_array();
    for (size_t leaf = 0; leaf < profile->n_leaves; leaf++) {
        left[leaf] = profile->leaves[leaf].record->n_recent_sequence;
    }
    while (recent != NULL && json_array_size(recent) < max) {
        size_t newest = STAMP_LEAVES_MAX;
        uint64_t sequence = 0;
        for (size_t leaf = 0; leaf < profile->n_leaves; leaf++) {
            const uint64_t *sequences = profile->leaves[leaf].record->recent_sequence;
            if (left[leaf] > 0 && sequences[left[leaf] - 1] > sequence) {
                sequence = sequences[left[leaf] - 1];
                newest = leaf;
            }
        }
        if (newest == STAMP_LEAVES_MAX) {
            break;
        }
        const View__Customer *record = profile->leaves[newest].record;
        size_t i = --left[newest];
        json_array_append_new(recent, read_interaction_json(reading->call, profile->txn, sequence,
                                                            record->recent_time_us[i],
                                                            record->recent_type[i],
                                                            record->recent_channel[i]));
    }
    return recent;
}

static json_t *recent_json(struct reading *reading) {
    return reading_recent_json(reading, TIMELINE_RECENT_MAX);
}

static uint64_t sum_of(const struct reading *reading, size_t offset) {
    uint64_t sum = 0;
    for (size_t i = 0; i < reading->profile.n_leaves; i++) {
        uint64_t value;
        memcpy(&value, (const char *)reading->profile.leaves[i].record + offset, sizeof(value));
        sum += value;
    }
    return sum;
}

static json_t *events_json(struct reading *reading) {
    return json_integer((json_int_t)sum_of(reading, offsetof(View__Customer, events)));
}

static json_t *dropped_json(struct reading *reading) {
    return json_integer((json_int_t)sum_of(reading, offsetof(View__Customer, dropped)));
}

static json_t *first_sequence_json(struct reading *reading) {
    uint64_t first = reading->profile.leaves[0].record->first_sequence;
    for (size_t i = 1; i < reading->profile.n_leaves; i++) {
        uint64_t other = reading->profile.leaves[i].record->first_sequence;
        first = other < first ? other : first;
    }
    return json_integer((json_int_t)first);
}

static json_t *last_sequence_json(struct reading *reading) {
    uint64_t last = 0;
    for (size_t i = 0; i < reading->profile.n_leaves; i++) {
        uint64_t other = reading->profile.leaves[i].record->last_sequence;
        last = other > last ? other : last;
    }
    return json_integer((json_int_t)last);
}

// ---- where they stand

static json_t *tier_json(struct reading *reading) {
    return json_string(reading->standing.tier);
}

static json_t *phase_json(struct reading *reading) {
    return json_string(reading->standing.phase);
}

static json_t *access_json(struct reading *reading) {
    return json_integer((json_int_t)reading->standing.access);
}

static json_t *value_json(struct reading *reading) {
    char text[MONEY_TEXT_BYTES];
    return json_pack("{s:s, s:s}", "amount", money_format(reading->standing.value_micro, text),
                     "currency", reading->policy->organisation.currency);
}

static json_t *owner_json(struct reading *reading) {
    return attribute_json(profile_attribute(&reading->profile, "owner"));
}

static json_t *satisfaction_json(struct reading *reading) {
    return attribute_json(profile_attribute(&reading->profile, "satisfaction"));
}

json_t *reading_preferences_json(struct reading *reading) {
    static const char *const names[] = {"channel", "hours", "language"};
    json_t *preferences = json_object();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char name[NAME_BYTES_MAX];
        snprintf(name, sizeof(name), "preference.%s", names[i]);
        json_t *value = attribute_json(profile_attribute(&reading->profile, name));
        if (value != NULL) {
            json_object_set_new(preferences, names[i], value);
        }
    }
    return preferences;
}

static json_t *interests_json(struct reading *reading, enum interest_kind kind, const char *term) {
    struct profile_interest *interests;
    size_t n;
    json_t *list = json_array();
    if (list == NULL || profile_interests(&reading->profile, reading->now_us, INTEREST_HALF_LIFE_US,
                                          &interests, &n) != 0) {
        json_decref(list);
        return NULL;
    }
    for (size_t i = 0; i < n && json_array_size(list) < SHOW_INTERESTS_MAX; i++) {
        const struct profile_interest *interest = &interests[i];
        if (interest->kind == kind) {
            json_array_append_new(
                list, json_pack("{s:s, s:I, s:f, s:o}", term, interest->term, "number",
                                (json_int_t)interest->number, "weight", interest->weight, "last",
                                read_time_json((int64_t)interest->last_day * 86400 * 1000000)));
        }
    }
    return list;
}

static json_t *needs_json(struct reading *reading) {
    return interests_json(reading, INTEREST_NEED, "term");
}

static json_t *products_json(struct reading *reading) {
    return interests_json(reading, INTEREST_PRODUCT, "sku");
}

static json_t *invoices_balance_json(struct reading *reading) {
    return balance_json(reading);
}

// ---- all of it

// What is left out where it is not known returns NULL and says `may_be_missing`.
static const struct {
    const char *name;
    json_t *(*make)(struct reading *reading);
    bool may_be_missing;
} members[] = {
    {"customer", number_json, false},
    {"leaves", leaves_json, false},
    {"merged", merged_json, false},
    {"keys", keys_json, false},
    {"attributes", attributes_json, false},
    {"tier", tier_json, false},
    {"phase", phase_json, false},
    {"access", access_json, false},
    {"value", value_json, false},
    {"owner", owner_json, true},
    {"satisfaction", satisfaction_json, true},
    {"preferences", reading_preferences_json, false},
    {"needs", needs_json, false},
    {"products", products_json, false},
    {"balance", invoices_balance_json, false},
    {"counters", counters_json, false},
    {"recent", recent_json, false},
    {"first_sequence", first_sequence_json, false},
    {"last_sequence", last_sequence_json, false},
    {"events", events_json, false},
    {"dropped", dropped_json, false},
};

json_t *reading_person_json(struct reading *reading) {
    json_t *json = json_object();
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        json_t *member = members[i].make(reading);
        if (member == NULL && members[i].may_be_missing) {
            continue;
        }
        if (json_object_set_new(json, members[i].name, member) != 0) {
            json_decref(json);
            return NULL;
        }
    }
    return json;
}

json_t *reading_json(struct reading *reading) {
    json_t *json = reading_person_json(reading);
    for (enum item_kind kind = 1; json != NULL && kind < ITEM_KINDS_MAX; kind++) {
        if (item_list_name(kind) == NULL) {
            continue;
        }
        size_t max = kind == ITEM_ORDER || kind == ITEM_QUOTE ? CALL_ROWS_MAX : SHOW_ITEMS_MAX;
        json_t *list = items_json(reading, kind, max);
        if (json_object_set_new(json, item_list_name(kind), list) != 0) {
            json_decref(json);
            return NULL;
        }
    }
    return json;
}

// ---- reading one

int reading_fill(struct reading *reading, struct view_txn *txn, struct arena *arena,
                 uint64_t leaf) {
    int r = profile_read(txn, arena, leaf, &reading->profile);
    return r != 0 ? r
                  : profile_standing(&reading->profile, reading->policy,
                                     call_broker(reading->call)->catalogue, reading->now_us,
                                     &reading->standing);
}

// What a reading is made of.
struct snapshot {
    struct view_txn *txn;
    const struct policy *policy;
};

static int snapshot_begin(struct call *call, struct snapshot *ret) {
    struct broker *broker = call_broker(call);
    int r = view_begin(broker->view, false, &ret->txn);
    if (r != 0) {
        return r;
    }
    view_use_keys(ret->txn, call_reads(call)->keys);
    call_as_of(call, view_applied(ret->txn));
    ret->policy = policy_take(broker->policy);
    return 0;
}

static void snapshot_end(struct call *call, struct snapshot *snapshot) {
    policy_release(call_broker(call)->policy, snapshot->policy);
    view_abort(snapshot->txn);
}

static int read_one(struct call *call, const struct snapshot *snapshot,
                    int (*body)(struct reading *reading)) {
    struct reading reading = {.call = call, .policy = snapshot->policy, .now_us = clock_now_us()};
    uint64_t customer;
    View__Customer *record;
    int r;
    if (!read_customer_of_call(call, snapshot->txn, &customer, &record, &r)) {
        return r;
    }
    r = reading_fill(&reading, snapshot->txn, call_reads(call)->arena, customer);
    return r == 0 ? body(&reading) : r > 0 ? -EBADMSG : r;
}

int reading_with(struct call *call, int (*body)(struct reading *reading)) {
    struct snapshot snapshot;
    int r = snapshot_begin(call, &snapshot);
    if (r == 0) {
        r = read_one(call, &snapshot, body);
        snapshot_end(call, &snapshot);
    }
    return r;
}

// Those whose key is destroyed were erased since the view's snapshot.
static size_t drop_destroyed(struct call *call, uint64_t *numbers, size_t n) {
    size_t n_kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (!keys_is_destroyed(call_broker(call)->keys, numbers[i])) {
            numbers[n_kept++] = numbers[i];
        }
    }
    return n_kept;
}

static int read_each(struct call *call, const struct snapshot *snapshot, const uint64_t *numbers,
                     size_t n, int (*body)(struct reading *reading)) {
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        struct reading reading = {
            .call = call, .policy = snapshot->policy, .now_us = clock_now_us()};
        arena_reset(call_reads(call)->arena);
        r = reading_fill(&reading, snapshot->txn, call_reads(call)->arena, numbers[i]);
        r = r == 0 ? body(&reading) : r > 0 ? -EBADMSG : r;
    }
    return r;
}

int reading_candidates(struct call *call, int (*body)(struct reading *reading)) {
    struct snapshot snapshot;
    uint64_t numbers[CANDIDATES_MAX];
    size_t n;
    int r = snapshot_begin(call, &snapshot);
    if (r != 0) {
        return r;
    }
    int64_t since_us = clock_now_us() - snapshot.policy->identity.contested_us;
    r = read_candidates(call, snapshot.txn, since_us, numbers, &n);
    n = r == 0 ? drop_destroyed(call, numbers, n) : 0;
    if (n > 0) {
        r = read_each(call, &snapshot, numbers, n, body);
    } else if (r == 0 && call_code(call) == REASON_OK) {
        r = read_one(call, &snapshot, body);
    }
    snapshot_end(call, &snapshot);
    return r;
}

int reading_of_nobody(struct call *call, int (*body)(struct reading *reading)) {
    struct snapshot snapshot;
    int r = snapshot_begin(call, &snapshot);
    if (r != 0) {
        return r;
    }
    struct reading reading = {
        .call = call,
        .policy = snapshot.policy,
        .now_us = clock_now_us(),
        .profile = {.txn = snapshot.txn, .arena = call_reads(call)->arena},
        .standing = {.tier = "guest",
                     .phase = "acquisition",
                     .access = snapshot.policy->standing.access_guest},
    };
    r = body(&reading);
    snapshot_end(call, &snapshot);
    return r;
}

static int show(struct reading *reading) {
    return call_answer(reading->call, call_withhold(reading->call, reading_json(reading)));
}

int verb_customer_show(struct call *call) {
    return reading_with(call, show);
}

// SPDX-License-Identifier: Apache-2.0
// One customer, joined, as the JSON of customer.show. A table of members: each is made from the
// reading alone, and a role may be given or refused each by its name.
#include "broker/query/verbs_profile.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/query/verbs_all.h"
#include "broker/query/verbs_names.h"
#include "schemas/base/clock.h"
#include "schemas/base/money.h"
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

json_t *read_interaction_json(struct call *call, struct view_txn *txn,
                              const struct fold_interaction *interaction) {
    struct names *names = call_reads(call)->names;
    uint32_t channel = interaction->channel;
    return json_pack("{s:I, s:o, s:s, s:s}", "sequence", (json_int_t)interaction->sequence, "time",
                     read_time_json(interaction->time_us), "type",
                     names_get(names, txn, interaction->type), "channel",
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
    {"counters", activity_counters_json, false},
    {"recent", activity_recent_json, false},
    {"first_sequence", activity_first_json, false},
    {"last_sequence", activity_last_json, false},
    {"events", activity_events_json, false},
    {"dropped", activity_dropped_json, false},
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

// ---- the verb

static int show(struct reading *reading) {
    return call_answer(reading->call, call_withhold(reading->call, reading_json(reading)));
}

int verb_customer_show(struct call *call) {
    return reading_with(call, show);
}

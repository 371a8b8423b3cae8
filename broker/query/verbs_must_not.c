// SPDX-License-Identifier: Apache-2.0
// What must not be done with a customer, each with its reason: for people on the phone. The verdict
// on a contact is the contact policy's alone; this only says beforehand what it will go by.
#include <string.h>

#include "broker/query/verbs_profile.h"
#include "schemas/base/guards.h"

enum { LOOKED_AT_MAX = CONSENTS_JUDGED_MAX }; // consents of a leaf

static void add(json_t *list, const char *what, const char *why, uint64_t sequence) {
    json_t *row = json_pack("{s:s, s:s}", "what", what, "why", why);
    if (sequence != 0) {
        json_object_set_new(row, "sequence", json_integer((json_int_t)sequence));
    }
    json_array_append_new(list, row);
}

static bool privacy(const struct reading *reading, json_t *list) {
    static const struct {
        const char *kind, *what, *why;
    } kinds[] = {{"restriction", "anything", "restricted"},
                 {"objection", "marketing", "objected to direct marketing"}};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        uint64_t sequence;
        if (profile_privacy(&reading->profile, kinds[i].kind, &sequence) != 0) {
            return false;
        }
        if (sequence != 0) {
            add(list, kinds[i].what, kinds[i].why, sequence);
        }
    }
    return true;
}

static bool complaints(const struct reading *reading, json_t *list) {
    View__Item **items;
    size_t n;
    int r = profile_open(&reading->profile, ITEM_CASE, reading->now_us, CASES_OPEN_MAX, &items, &n);
    if (r == 1) {
        add(list, "marketing", "more open cases than are looked at", 0);
    }
    for (size_t i = 0; r >= 0 && i < n; i++) {
        if (strcmp(item_text(reading, items[i], "kind"), "complaint") == 0) {
            add(list, "marketing", "an open complaint", items[i]->changed_sequence);
        }
    }
    return r >= 0;
}

// ---- consents

// One leaf's word on an address, a channel and a purpose; "": any.
struct word {
    size_t leaf;
    const char *address, *channel, *purpose, *state;
    bool is_grant, is_expired;
    int64_t time_us;
    uint64_t sequence;
};
struct words {
    struct word *rows;
    size_t n;
    bool is_cut; // there are more than are looked at
};

static bool add_word(const struct reading *reading, struct words *words, size_t leaf,
                     const View__Item *item) {
    struct word *word = &words->rows[words->n];
    const View__Attribute *said = profile_member(item, "state");
    char *channel, *purpose, *address = arena_strdup(reading->profile.arena, item->id);
    if (address == NULL || said == NULL) {
        return address != NULL;
    }
    channel = strchr(address, '\x1f');
    purpose = channel != NULL ? strchr(channel + 1, '\x1f') : NULL;
    if (purpose == NULL) {
        return true;
    }
    *channel = *purpose = '\0';
    *word = (struct word){.leaf = leaf,
                          .address = address,
                          .channel = channel + 1,
                          .purpose = purpose + 1,
                          .state = item_text(reading, item, "state"),
                          .time_us = said->time_us,
                          .sequence = said->sequence};
    word->is_grant = strcmp(word->state, "granted") == 0;
    word->is_expired = word->is_grant && item_is_expired(reading, item);
    words->n += strcmp(word->state, "unknown") != 0;
    return true;
}

// What a leaf says of a channel and a purpose.
static bool read_pair(const struct reading *reading, size_t leaf, const char *channel,
                      const char *purpose, struct words *ret) {
    View__Item **items;
    size_t n;
    int r = profile_consents(&reading->profile, leaf, channel, purpose,
                             (leaf + 1) * LOOKED_AT_MAX - ret->n, &items, &n);
    for (size_t i = 0; r >= 0 && i < n; i++) {
        if (!add_word(reading, ret, leaf, items[i])) {
            return false;
        }
    }
    ret->is_cut |= r == 1;
    return r >= 0;
}

static bool read_channels(const struct reading *reading, size_t leaf, const char *purpose,
                          struct words *ret) {
    const struct policy *policy = reading->policy;
    bool is_read = read_pair(reading, leaf, "", purpose, ret);
    for (unsigned i = 0; is_read && i < policy->n_channels; i++) {
        if (policy->channels[i].contact) {
            is_read = read_pair(reading, leaf, policy->channels[i].name, purpose, ret);
        }
    }
    return is_read;
}

static bool read_words(const struct reading *reading, struct words *ret) {
    const struct profile *profile = &reading->profile;
    const struct policy_contact *policy = &reading->policy->contact;
    *ret = (struct words){.n = 0};
    ret->rows =
        arena_calloc(profile->arena, profile->n_leaves * LOOKED_AT_MAX + 1, sizeof(*ret->rows));
    bool is_read = ret->rows != NULL;
    for (size_t i = 0; is_read && i < profile->n_leaves; i++) {
        is_read = read_channels(reading, i, "", ret);
        for (unsigned k = 0; is_read && k < policy->n_marketing; k++) {
            is_read = read_channels(reading, i, policy->marketing[k], ret);
        }
    }
    return is_read;
}

static bool is_any_or(const char *text, const char *other) {
    return *text == '\0' || strcmp(text, other) == 0;
}

static bool is_about(const struct word *word, const char *channel, const char *purpose) {
    return is_any_or(word->channel, channel) && is_any_or(word->purpose, purpose);
}

// A later grant takes a refusal back: one of the same leaf for that address, or one of any leaf
// that names the address.
static bool is_taken_back(const struct words *words, const struct word *refusal,
                          const char *channel, const char *purpose) {
    for (size_t i = 0; i < words->n; i++) {
        const struct word *word = &words->rows[i];
        bool is_of_it = is_any_or(refusal->address, word->address) ||
                        (word->leaf == refusal->leaf && is_any_or(word->address, refusal->address));
        if (word->is_grant && !word->is_expired && word->time_us > refusal->time_us &&
            is_about(word, channel, purpose) && is_of_it &&
            (word->leaf == refusal->leaf || *word->address != '\0')) {
            return true;
        }
    }
    return false;
}

// The word that counts for a channel over all addresses: a refusal, a grant, what has expired;
// NULL: nobody said anything.
static const struct word *judge(const struct words *words, const char *channel,
                                const char *purpose) {
    const struct word *refusal = NULL, *grant = NULL, *expired = NULL;
    for (size_t i = 0; i < words->n; i++) {
        const struct word *word = &words->rows[i];
        if (!is_about(word, channel, purpose) || (!word->is_grant && GUARD(refusal_taken_back) &&
                                                  is_taken_back(words, word, channel, purpose))) {
            continue;
        }
        const struct word **kept = !word->is_grant    ? &refusal
                                   : word->is_expired ? &expired
                                                      : &grant;
        *kept = *kept == NULL || word->time_us > (*kept)->time_us ? word : *kept;
    }
    return refusal != NULL ? refusal : grant != NULL ? grant : expired;
}

// One row a reason, with the channels it holds for.
static void add_channel(json_t *list, size_t first, const char *purpose, const char *why,
                        const char *channel, uint64_t sequence) {
    for (size_t i = first; i < json_array_size(list); i++) {
        json_t *row = json_array_get(list, i);
        const char *other = json_string_value(json_object_get(row, "why"));
        if (strcmp(other, why) == 0 &&
            json_integer_value(json_object_get(row, "sequence")) == (json_int_t)sequence) {
            json_array_append_new(json_object_get(row, "channels"), json_string(channel));
            return;
        }
    }
    add(list, purpose, why, sequence);
    json_t *row = json_array_get(list, json_array_size(list) - 1);
    json_object_set_new(row, "channels", json_pack("[s]", channel));
}

static bool consents(const struct reading *reading, json_t *list) {
    const struct policy *policy = reading->policy;
    struct words words;
    if (!read_words(reading, &words)) {
        return false;
    }
    if (words.is_cut) {
        add(list, "marketing", "more consents than are looked at", 0);
    }
    for (unsigned i = 0; i < policy->contact.n_marketing; i++) {
        const char *purpose = policy->contact.marketing[i];
        size_t first = json_array_size(list);
        for (unsigned k = 0; k < policy->n_channels; k++) {
            const char *channel = policy->channels[k].name;
            const struct word *word = judge(&words, channel, purpose);
            if (!policy->channels[k].contact ||
                (word != NULL && word->is_grant && !word->is_expired)) {
                continue;
            }
            const char *state = word == NULL       ? "unknown"
                                : word->is_expired ? "expired"
                                                   : word->state;
            const char *why = arena_printf(reading->profile.arena, "consent %s", state);
            if (why == NULL) {
                return false;
            }
            add_channel(list, first, purpose, why, channel, word != NULL ? word->sequence : 0);
        }
    }
    return true;
}

json_t *must_not_json(const struct reading *reading) {
    json_t *list = json_array();
    if (list != NULL && privacy(reading, list) && complaints(reading, list) &&
        consents(reading, list)) {
        return list;
    }
    json_decref(list);
    return NULL;
}

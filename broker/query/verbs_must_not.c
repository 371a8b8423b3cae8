// SPDX-License-Identifier: Apache-2.0
// What must not be done with a customer, each with its reason: for people on the phone. The verdict
// on a contact is the contact policy's alone; this only says beforehand what it will go by.
#include <string.h>

#include "broker/query/verbs_profile.h"

enum { LOOKED_AT_MAX = 100 };

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
        View__Item *item;
        if (profile_item(&reading->profile, ITEM_PRIVACY, kinds[i].kind, &item) != 0) {
            return false;
        }
        if (item != NULL && profile_privacy_holds(&reading->profile, item)) {
            add(list, kinds[i].what, kinds[i].why, item->changed_sequence);
        }
    }
    return true;
}

static bool complaints(const struct reading *reading, json_t *list) {
    View__Item **items;
    size_t n;
    if (profile_items(&reading->profile, ITEM_CASE, LOOKED_AT_MAX, &items, &n) != 0) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (strcmp(item_text(reading, items[i], "state"), "open") == 0 &&
            strcmp(item_text(reading, items[i], "kind"), "complaint") == 0) {
            add(list, "marketing", "an open complaint", items[i]->changed_sequence);
        }
    }
    return true;
}

// ---- consents

// Address, channel and purpose of a consent's id: whether it is about this channel and purpose.
static bool is_about(const char *id, const char *channel, const char *purpose) {
    const char *own_channel = strchr(id, '\x1f');
    const char *own_purpose = own_channel != NULL ? strchr(own_channel + 1, '\x1f') : NULL;
    if (own_purpose == NULL) {
        return false;
    }
    size_t size = (size_t)(own_purpose - own_channel - 1);
    bool fits_channel =
        size == 0 || (strlen(channel) == size && strncmp(own_channel + 1, channel, size) == 0);
    return fits_channel && (own_purpose[1] == '\0' || strcmp(own_purpose + 1, purpose) == 0);
}

// The consent that counts for a channel: the one that was said last, over all addresses, a refusal
// before a grant of the same moment.
static const char *state_of(const struct reading *reading, View__Item *const *items, size_t n,
                            const char *channel, const char *purpose, uint64_t *ret_sequence) {
    const char *state = "unknown";
    int64_t said_us = INT64_MIN;
    *ret_sequence = 0;
    for (size_t i = 0; i < n; i++) {
        const View__Attribute *said = profile_member(items[i], "state");
        if (said == NULL || !is_about(items[i]->id, channel, purpose)) {
            continue;
        }
        const char *text = item_text(reading, items[i], "state");
        bool is_grant = strcmp(text, "granted") == 0;
        if (said->time_us > said_us || (said->time_us == said_us && !is_grant)) {
            said_us = said->time_us;
            *ret_sequence = said->sequence;
            state = is_grant && item_is_expired(reading, items[i]) ? "expired" : text;
        }
    }
    return state;
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
    View__Item **items;
    size_t n;
    if (profile_items(&reading->profile, ITEM_CONSENT, LOOKED_AT_MAX, &items, &n) != 0) {
        return false;
    }
    for (unsigned i = 0; i < policy->contact.n_marketing; i++) {
        const char *purpose = policy->contact.marketing[i];
        size_t first = json_array_size(list);
        for (unsigned k = 0; k < policy->n_channels; k++) {
            uint64_t sequence;
            const char *channel = policy->channels[k].name;
            const char *state = state_of(reading, items, n, channel, purpose, &sequence);
            const char *why = arena_printf(reading->profile.arena, "consent %s", state);
            if (policy->channels[k].contact && why != NULL && strcmp(state, "granted") != 0) {
                add_channel(list, first, purpose, why, channel, sequence);
            }
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

// SPDX-License-Identifier: Apache-2.0
// See standing.h.
#include "broker/profile/standing.h"
#include "schemas/base/guards.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

const char *profile_interned(const struct profile *profile, uint32_t number) {
    const void *value;
    size_t size;
    number = htobe32(number);
    if (number == 0 ||
        view_get(profile->txn, VIEW_NAMES, &number, sizeof(number), &value, &size) != 0) {
        return "";
    }
    char *text = arena_alloc(profile->arena, size + 1);
    if (text == NULL) {
        return "";
    }
    memcpy(text, value, size);
    text[size] = '\0';
    return text;
}

// ---- how to speak to them

const char *profile_name(const struct profile *profile) {
    static const struct {
        const char *first, *last;
    } names[] = {{"name", NULL}, {"firstName", "lastName"}, {"first_name", "last_name"}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *first = profile_text(profile, names[i].first);
        const char *last = names[i].last != NULL ? profile_text(profile, names[i].last) : NULL;
        if (first != NULL && last != NULL) {
            return arena_printf(profile->arena, "%s %s", first, last);
        }
        if (first != NULL || last != NULL) {
            return first != NULL ? first : last;
        }
    }
    return NULL;
}

const char *profile_language(const struct profile *profile) {
    const char *language = profile_text(profile, "preference.language");
    return language != NULL ? language : profile_text(profile, "language");
}

// ---- standing

static bool comes_from_customer(const struct profile *profile, const struct catalogue *catalogue,
                                uint32_t type) {
    const struct catalogue_type *row = catalogue_find(catalogue, profile_interned(profile, type));
    return row == NULL || (row->directions & DIRECTION_MAY_INBOUND) != 0;
}

static int64_t last_heard(const struct profile *profile, const struct catalogue *catalogue) {
    int64_t last_us = 0;
    for (size_t i = 0; i < profile->n_leaves; i++) {
        const View__Customer *record = profile->leaves[i].record;
        for (size_t j = 0; j < record->n_counter_last_us; j++) {
            if (record->counter_last_us[j] > last_us &&
                comes_from_customer(profile, catalogue, record->counter_type[j])) {
                last_us = record->counter_last_us[j];
            }
        }
    }
    return last_us;
}

// Who has not ordered is still to be won, however long nothing was heard.
static const char *phase_of(const char *said, bool is_active) {
    bool is_won = said[0] != '\0' && strcmp(said, "acquisition") != 0;
    return !is_won ? "acquisition" : is_active || !GUARD(phase_silent) ? said : "retention";
}

static unsigned access_of(const struct policy_standing *policy, const char *tier) {
    const struct {
        const char *tier;
        unsigned access;
    } levels[] = {{"registered", policy->access_registered},
                  {"client", policy->access_client},
                  {"mvc", policy->access_mvc}};
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (strcmp(levels[i].tier, tier) == 0) {
            return levels[i].access;
        }
    }
    return policy->access_guest;
}

int profile_standing(const struct profile *profile, const struct policy *policy,
                     const struct catalogue *catalogue, int64_t now_us,
                     struct profile_standing *ret) {
    const View__Customer *record = profile->leaves[0].record;
    int64_t inactive_us = policy->standing.inactive_us;
    *ret = (struct profile_standing){.tier = record->tier[0] != '\0' ? record->tier : "guest",
                                     .sequence = record->standing_sequence,
                                     .heard_us = last_heard(profile, catalogue)};
    for (size_t i = 0; i < profile->n_leaves; i++) {
        ret->registered |= profile->leaves[i].record->registered;
    }
    int r = profile_value(profile, policy->organisation.currency, &ret->value_micro, &ret->orders);
    ret->phase = phase_of(record->phase, inactive_us == 0 || ret->heard_us >= now_us - inactive_us);
    ret->access = access_of(&policy->standing, ret->tier);
    return r;
}

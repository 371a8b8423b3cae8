// SPDX-License-Identifier: Apache-2.0
// The channels of a contact: which were asked for, which the customer prefers, where each could go
// to, what is left of its budget.
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "broker/rules/contact.h"
#include "broker/rules/score.h"
#include "broker/tick/normalise.h"
#include "schemas/base/guards.h"

static bool is_listed(const struct contact *contact, const char *name) {
    for (size_t i = 0; i < contact->n_channels; i++) {
        if (strcmp(contact->channels[i].policy->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void add_channel(struct contact *contact, const struct policy_channel *policy) {
    if (policy == NULL || !policy->contact || contact->n_channels == CONTACT_CHANNELS_MAX ||
        is_listed(contact, policy->name)) {
        return;
    }
    struct contact_channel *channel = &contact->channels[contact->n_channels++];
    *channel = (struct contact_channel){.policy = policy, .n_days = 1};
    channel->days[0] = zone_day(contact->zone, contact->now_us);
    if (policy->arrives_us > 0) {
        uint32_t arrives = zone_day(contact->zone, contact->now_us + policy->arrives_us);
        if (GUARD(contact_arrival_day) && arrives != channel->days[0]) {
            channel->days[channel->n_days++] = arrives;
        }
    }
}

static void put_preferred_first(struct contact *contact) {
    const char *preferred = profile_text(&contact->profile, "preference.channel");
    for (size_t i = 1; preferred != NULL && i < contact->n_channels; i++) {
        if (strcmp(contact->channels[i].policy->name, preferred) == 0) {
            struct contact_channel first = contact->channels[i];
            memmove(contact->channels + 1, contact->channels, i * sizeof(contact->channels[0]));
            contact->channels[0] = first;
        }
    }
}

int contact_channels(struct contact *contact, const struct body_value *list) {
    const struct policy *policy = contact->judging->policy;
    struct body_value name;
    size_t position = 0;
    bool any = false;
    while (list != NULL && body_next(list, &position, NULL, &name)) {
        any = true;
        if (name.kind == BODY_TEXT && name.text_size <= NAME_BYTES_MAX) {
            const char *text =
                arena_printf(contact->profile.arena, "%.*s", (int)name.text_size, name.text);
            if (text == NULL) {
                return -ENOMEM;
            }
            add_channel(contact, policy_channel(policy, text));
        }
    }
    for (unsigned i = 0; !any && i < policy->n_channels; i++) {
        add_channel(contact, &policy->channels[i]);
    }
    put_preferred_first(contact);
    return 0;
}

// ---- addresses

// What is needed is a kind of key that the policy knows, not an attribute.
static bool is_key_kind(const struct contact *contact, const char *needs) {
    const struct policy_identity *identity = &contact->judging->policy->identity;
    for (unsigned i = 0; i < identity->n_kinds; i++) {
        if (strcmp(identity->kinds[i].kind, needs) == 0) {
            return true;
        }
    }
    return false;
}

const char *contact_normalise(const struct contact *contact, const struct policy_channel *channel,
                              const char *value) {
    const char *normal = is_key_kind(contact, channel->needs)
                             ? normalise_value(contact->judging->policy, channel->needs, value,
                                               contact->profile.arena)
                             : NULL;
    return normal != NULL ? normal : value;
}

// "email" stands for "email.REALM", too.
static bool is_of_kind(const char *kind, const char *needs) {
    size_t length = strlen(needs);
    return strncmp(kind, needs, length) == 0 && (kind[length] == '\0' || kind[length] == '.');
}

// A deleted attribute is none.
static const char *attribute_text(const struct profile *profile, const char *name) {
    const View__Attribute *attribute = profile_attribute(profile, name);
    struct body_value value;
    if (attribute == NULL || !body_read(attribute->value.data, attribute->value.len, &value) ||
        value.kind == BODY_NIL) {
        return NULL;
    }
    const char *text = profile_text(profile, name);
    return text != NULL ? text : "";
}

static size_t add_keys(const struct contact *contact, const char *needs,
                       const char *ret[static CONTACT_ADDRESSES_MAX]) {
    size_t n = 0;
    for (size_t i = 0; i < contact->profile.n_leaves; i++) {
        const View__Person *person = contact->profile.leaves[i].person;
        for (size_t j = 0; j < person->n_keys && n < CONTACT_ADDRESSES_MAX; j++) {
            if (is_of_kind(person->keys[j]->kind, needs)) {
                ret[n++] = person->keys[j]->value;
            }
        }
    }
    return n;
}

size_t contact_addresses(const struct contact *contact, const struct policy_channel *channel,
                         const char *ret[static CONTACT_ADDRESSES_MAX]) {
    const char *needs = channel->needs;
    if (*needs == '\0') {
        ret[0] = contact->address != NULL ? contact->address : "";
        return 1;
    }
    if (contact->address != NULL) {
        ret[0] = is_key_kind(contact, needs)
                     ? normalise_value(contact->judging->policy, needs, contact->address,
                                       contact->profile.arena)
                     : contact->address;
        return ret[0] != NULL;
    }
    size_t n = add_keys(contact, needs, ret);
    const char *text = n == 0 ? attribute_text(&contact->profile, needs) : NULL;
    if (text != NULL) {
        ret[n++] = text;
    }
    return n;
}

// ---- steps

int contact_reachable(struct contact *contact) {
    const char *addresses[CONTACT_ADDRESSES_MAX];
    for (size_t i = 0; i < contact->n_channels; i++) {
        struct contact_channel *channel = &contact->channels[i];
        if (!channel->out && contact_addresses(contact, channel->policy, addresses) == 0) {
            contact_take_out(contact, channel, CONTACT_NO_CHANNEL, 0);
        }
    }
    if (contact->n_channels == 0) {
        contact_suppress(contact, CONTACT_NO_CHANNEL, 0);
    }
    return 0;
}

// Beyond its budget a channel is left to what has to be said: service, and what skips the caps.
int contact_budget(struct contact *contact) {
    bool is_service = contact->skips || strcmp(contact->purpose, "service") == 0;
    uint32_t month = score_month(contact->now_us);
    int r = 0;
    for (size_t i = 0; r == 0 && !is_service && i < contact->n_channels; i++) {
        const struct policy_channel *policy = contact->channels[i].policy;
        int64_t spent_micro = 0;
        if (contact->channels[i].out || !policy->budget_stops || policy->budget_micro <= 0) {
            continue;
        }
        r = score_month_cost(contact->judging->txn, policy->name, month, &spent_micro);
        if (GUARD(contact_budget) && r == 0 && spent_micro >= policy->budget_micro) {
            contact_take_out(contact, &contact->channels[i], CONTACT_BUDGET, 0);
        }
    }
    return r;
}

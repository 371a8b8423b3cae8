// SPDX-License-Identifier: Apache-2.0
// Restrictions, objections and consents. Restrictions and objections are the customer's: the latest
// word counts, whichever leaf it was said of. A consent is an address's: within a leaf the latest
// word counts, of two at one time the refusal; between leaves a refusal beats a grant, since
// whoever merged two customers need not have known both; a later grant that names the address
// beats it again.
#include <errno.h>
#include <string.h>

#include "broker/rules/contact.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"

struct word {
    bool refused, expired;
    bool named; // it names the address
    int64_t time_us;
    uint64_t sequence;
};

struct consent {
    const char *address, *channel, *purpose; // "": any
    struct word word;
};

// One leaf's, opened.
struct consents {
    struct consent *rows;
    size_t n;
};

// ---- restrictions and objections

int contact_restriction(struct contact *contact) {
    uint64_t sequence;
    int r = profile_privacy(&contact->profile, "restriction", &sequence);
    if (GUARD(contact_restriction) && r == 0 && sequence != 0) {
        contact_suppress(contact, CONTACT_RESTRICTED, sequence);
    }
    return r;
}

// ---- consents

// "ADDRESS US CHANNEL US PURPOSE" in place.
static bool split_id(char *id, struct consent *ret) {
    char *channel = strchr(id, '\x1f');
    char *purpose = channel == NULL ? NULL : strchr(channel + 1, '\x1f');
    if (purpose == NULL) {
        return false;
    }
    *channel = *purpose = '\0';
    *ret = (struct consent){.address = id, .channel = channel + 1, .purpose = purpose + 1};
    return true;
}

static bool is_expired(const struct contact *contact, const struct profile *leaf,
                       const View__Item *item) {
    const char *text = profile_member_text(leaf, item, "expires");
    int64_t expires_us;
    return text != NULL && clock_parse_rfc3339(text, &expires_us) == 0 &&
           expires_us <= contact->now_us;
}

static int add_consent(const struct contact *contact, const struct profile *leaf,
                       const View__Item *item, struct consents *ret) {
    const View__Attribute *state = profile_member(item, "state");
    const char *text = profile_member_text(leaf, item, "state");
    char *id = arena_strdup(leaf->arena, item->id);
    struct consent *consent = &ret->rows[ret->n];
    if (id == NULL) {
        return -ENOMEM;
    }
    if (text == NULL || strcmp(text, "unknown") == 0 || !split_id(id, consent)) {
        return 0;
    }
    bool granted = strcmp(text, "granted") == 0;
    consent->word = (struct word){.refused = !granted,
                                  .expired = granted && is_expired(contact, leaf, item),
                                  .time_us = state->time_us,
                                  .sequence = state->sequence};
    ret->n++;
    return 0;
}

// What the leaf says of this channel and this purpose, "" any. 1: more than is looked at.
static int read_pair(const struct contact *contact, size_t leaf, const char *channel,
                     const char *purpose, struct consents *ret) {
    View__Item **items;
    size_t n;
    int r = profile_consents(&contact->profile, leaf, channel, purpose,
                             CONSENTS_JUDGED_MAX - ret->n, &items, &n);
    for (size_t i = 0; r == 0 && i < n; i++) {
        r = add_consent(contact, &contact->profile, items[i], ret);
    }
    return r;
}

// What the leaf says of the contact's channels and its purpose. 1: more than is looked at.
static int read_consents(const struct contact *contact, size_t leaf, struct consents *ret) {
    ret->n = 0;
    ret->rows = arena_calloc(contact->profile.arena, CONSENTS_JUDGED_MAX, sizeof(*ret->rows));
    int r = ret->rows == NULL ? -ENOMEM : read_pair(contact, leaf, "", "", ret);
    r = r != 0 ? r : read_pair(contact, leaf, "", contact->purpose, ret);
    for (size_t i = 0; r == 0 && i < contact->n_channels; i++) {
        const char *channel = contact->channels[i].policy->name;
        r = read_pair(contact, leaf, channel, "", ret);
        r = r != 0 ? r : read_pair(contact, leaf, channel, contact->purpose, ret);
    }
    return r;
}

static bool applies(const struct contact *contact, const struct consent *consent,
                    const struct policy_channel *channel, const char *address) {
    return (*consent->purpose == '\0' || strcmp(consent->purpose, contact->purpose) == 0) &&
           (*consent->channel == '\0' || strcmp(consent->channel, channel->name) == 0) &&
           (*consent->address == '\0' ||
            strcmp(contact_normalise(contact, channel, consent->address), address) == 0);
}

// Whether the first word stands against the second.
static bool is_later(const struct word *one, const struct word *other) {
    return one->time_us > other->time_us ||
           (one->time_us == other->time_us && one->refused && !other->refused);
}

static void keep_later(struct word *kept, const struct word *word) {
    if (kept->sequence == 0 || is_later(word, kept)) {
        *kept = *word;
    }
}

// What all leaves say of one address: the refusal, the grant, or what has expired; sequence 0:
// nobody said anything.
static struct word join(const struct contact *contact, const struct consents *leaves,
                        const struct policy_channel *channel, const char *address) {
    struct word refusal = {0}, grant = {0}, named = {0}, expired = {0};
    for (size_t i = 0; i < contact->profile.n_leaves; i++) {
        struct word last = {0};
        for (size_t j = 0; j < leaves[i].n; j++) {
            const struct consent *consent = &leaves[i].rows[j];
            if (!applies(contact, consent, channel, address)) {
                continue;
            }
            keep_later(&last, &consent->word);
            if (!consent->word.refused && !consent->word.expired && *consent->address != '\0') {
                keep_later(&named, &consent->word);
            }
        }
        if (last.sequence != 0) {
            keep_later(last.refused ? &refusal : last.expired ? &expired : &grant, &last);
        }
    }
    bool is_refused = refusal.sequence != 0 && !(named.sequence != 0 && is_later(&named, &refusal));
    if (is_refused) {
        return refusal;
    }
    return grant.sequence != 0 ? grant : named.sequence != 0 ? named : expired;
}

// By every address that the contact could go to: one that refuses is enough for no, one that grants
// for yes.
static void judge_channel(struct contact *contact, const struct consents *leaves,
                          struct contact_channel *channel) {
    const char *addresses[CONTACT_ADDRESSES_MAX];
    size_t n = contact_addresses(contact, channel->policy, addresses);
    struct word refusal = {0}, grant = {0}, expired = {0};
    for (size_t i = 0; i < n; i++) {
        struct word word = join(contact, leaves, channel->policy, addresses[i]);
        if (word.sequence != 0) {
            keep_later(word.refused ? &refusal : word.expired ? &expired : &grant, &word);
        }
    }
    if (GUARD(contact_refused) && refusal.sequence != 0) {
        contact_take_out(contact, channel, CONTACT_REFUSED, refusal.sequence);
    } else if (GUARD(contact_unknown) && contact->marketing && grant.sequence == 0 && n > 0) {
        contact_take_out(contact, channel, expired.sequence != 0 ? CONTACT_LAPSED : CONTACT_UNKNOWN,
                         expired.sequence);
    }
}

int contact_consent(struct contact *contact) {
    struct consents leaves[STAMP_LEAVES_MAX];
    uint64_t objection = 0;
    int r = contact->marketing ? profile_privacy(&contact->profile, "objection", &objection) : 0;
    if (GUARD(contact_objection) && r == 0 && objection != 0) {
        contact_suppress(contact, CONTACT_OBJECTED, objection);
        return 0;
    }
    for (size_t i = 0; r == 0 && i < contact->profile.n_leaves; i++) {
        r = read_consents(contact, i, &leaves[i]);
    }
    if (r == 1) {
        contact_suppress(contact, CONTACT_TOO_MANY, 0);
        return 0;
    }
    for (size_t i = 0; r == 0 && i < contact->n_channels; i++) {
        judge_channel(contact, leaves, &contact->channels[i]);
    }
    return r;
}

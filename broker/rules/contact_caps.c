// SPDX-License-Identifier: Apache-2.0
// Places in the caps: of the leaves of one customer together, each contact once. A place counts
// from approval, for good when the contact was carried out, else until it lapses or is released.
#include <string.h>

#include "broker/rules/contact.h"
#include "schemas/base/guards.h"

enum { WEEK_DAYS = 7 };

#define DAY_US (INT64_C(86400) * 1000000)

// A day of the calendar lasts somewhere until 12 hours behind Greenwich's.
int64_t contact_window_end(uint32_t last_day) {
    return ((int64_t)last_day + WEEK_DAYS + 1) * DAY_US;
}

const View__Place *contact_find_place(const struct profile *profile,
                                      const uint8_t lookup[static LOOKUP_BYTES],
                                      uint64_t *ret_leaf) {
    const View__Place *found = NULL;
    for (size_t i = 0; i < profile->n_leaves; i++) {
        const View__Customer *record = profile->leaves[i].record;
        for (size_t j = 0; j < record->n_places; j++) {
            const View__Place *place = record->places[j];
            if (place->contact.len == LOOKUP_BYTES &&
                memcmp(place->contact.data, lookup, LOOKUP_BYTES) == 0 &&
                (found == NULL || place->sequence > found->sequence)) {
                found = place;
                *ret_leaf = profile->leaves[i].number;
            }
        }
    }
    return found;
}

void contact_join_leaf(struct profile *profile, const struct profile_leaf *leaf) {
    for (size_t i = 0; i < profile->n_leaves; i++) {
        if (profile->leaves[i].number == leaf->number) {
            return;
        }
    }
    if (profile->n_leaves < STAMP_LEAVES_MAX) {
        profile->leaves[profile->n_leaves++] = *leaf;
    }
}

static bool stands(const View__Place *place, int64_t now_us) {
    return place->state == RESERVATION_HANDED ||
           (place->state == RESERVATION_HELD && GUARD(contact_lapse) && now_us < place->lapse_us);
}

static bool is_known(const struct contact *contact, const View__Place *place) {
    for (size_t i = 0; i < contact->n_places; i++) {
        const ProtobufCBinaryData *known = &contact->places[i]->contact;
        if (known->len == place->contact.len &&
            memcmp(known->data, place->contact.data, known->len) == 0) {
            return true;
        }
    }
    return false;
}

void contact_places(struct contact *contact) {
    const struct profile *profile = &contact->profile;
    contact->n_places = 0;
    for (size_t i = 0; i < profile->n_leaves; i++) {
        const View__Customer *record = profile->leaves[i].record;
        for (size_t j = 0; j < record->n_places && contact->n_places < CONTACT_PLACES_MAX; j++) {
            const View__Place *place = record->places[j];
            bool is_own = place->contact.len == LOOKUP_BYTES &&
                          memcmp(place->contact.data, contact->lookup, LOOKUP_BYTES) == 0;
            if (!is_own && stands(place, contact->now_us) && !is_known(contact, place)) {
                contact->places[contact->n_places++] = place;
            }
        }
    }
}

// Whether it occupies a day from first to last.
static bool occupies(const View__Place *place, int64_t first, int64_t last) {
    for (size_t i = 0; i < place->n_days; i++) {
        if (place->days[i] >= first && place->days[i] <= last) {
            return true;
        }
    }
    return false;
}

int contact_same_content(struct contact *contact) {
    for (size_t i = 0; i < contact->n_channels; i++) {
        struct contact_channel *channel = &contact->channels[i];
        for (size_t j = 0; !channel->out && j < contact->n_places; j++) {
            const View__Place *place = contact->places[j];
            bool is_same = place->content.len == LOOKUP_BYTES &&
                           memcmp(place->content.data, contact->content, LOOKUP_BYTES) == 0;
            for (size_t k = 0; is_same && !channel->out && k < channel->n_days; k++) {
                if (GUARD(contact_same_content) &&
                    occupies(place, channel->days[k], channel->days[k])) {
                    contact_take_out(contact, channel, CONTACT_SAME_CONTENT, place->sequence);
                }
            }
        }
    }
    return 0;
}

// One cap over one span of days, for all channels or one.
struct cap {
    unsigned most;       // 0: none
    const char *channel; // NULL: all
    int64_t days;
    enum contact_reason reason;
};

// Whether the span from `first` on is full; then its places decide.
static bool is_full(struct contact *contact, const struct cap *cap, int64_t first, bool tell) {
    unsigned n = 0;
    for (size_t i = 0; i < contact->n_places; i++) {
        const View__Place *place = contact->places[i];
        if (place->counts && occupies(place, first, first + cap->days - 1) &&
            (cap->channel == NULL || strcmp(cap->channel, place->channel) == 0)) {
            n++;
            if (tell) {
                contact_decided_by(contact, place->sequence);
            }
        }
    }
    return n >= cap->most;
}

// Every span that has one of the days it would occupy.
static bool is_over(struct contact *contact, const struct contact_channel *channel,
                    const struct cap *cap) {
    for (size_t i = 0; cap->most > 0 && i < channel->n_days; i++) {
        for (int64_t back = cap->days - 1; back >= 0; back--) {
            int64_t first = (int64_t)channel->days[i] - back;
            if (is_full(contact, cap, first, false)) {
                is_full(contact, cap, first, true);
                return true;
            }
        }
    }
    return false;
}

int contact_caps(struct contact *contact) {
    const struct policy_contact *policy = &contact->judging->policy->contact;
    for (size_t i = 0; !contact->skips && i < contact->n_channels; i++) {
        struct contact_channel *channel = &contact->channels[i];
        const char *name = channel->policy->name;
        const struct cap caps[] = {
            {policy->cap_day, NULL, 1, CONTACT_CAP_DAY},
            {policy->cap_week, NULL, WEEK_DAYS, CONTACT_CAP_WEEK},
            {channel->policy->cap_day, name, 1, CONTACT_CHANNEL_CAP_DAY},
            {channel->policy->cap_week, name, WEEK_DAYS, CONTACT_CHANNEL_CAP_WEEK},
        };
        for (size_t j = 0; !channel->out && j < sizeof(caps) / sizeof(caps[0]); j++) {
            if (GUARD(contact_caps) && is_over(contact, channel, &caps[j])) {
                contact_take_out(contact, channel, caps[j].reason, 0);
            }
        }
    }
    return 0;
}

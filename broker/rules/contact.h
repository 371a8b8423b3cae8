// SPDX-License-Identifier: Apache-2.0
// A contact being judged: what was asked, the customer as a whole, and the channels that are left.
// contact.c goes through the steps; each step is a file's concern and takes channels away or
// decides. What is read lives in an arena of its own, what comes of it in the tick's.
#pragma once

#include "broker/fold/reservations.h"
#include "broker/profile/profile.h"
#include "broker/rules/rules_internal.h"
#include "broker/rules/zone.h"
#include "schemas/body.h"

enum {
    CONTACT_CHANNELS_MAX = 32, // of one request
    CONTACT_DECIDERS_MAX = 16, // sequences named in a verdict
    CONTACT_PLACES_MAX = STAMP_LEAVES_MAX * RESERVATIONS_MAX,
};

enum contact_reason {
#define CONTACT_REASON(NAME, code, text) CONTACT_##NAME,
#include "broker/rules/contact_reasons.def"
#undef CONTACT_REASON
    CONTACT_N_REASONS
};

enum contact_verdict { CONTACT_OPEN, CONTACT_APPROVED, CONTACT_DEFERRED, CONTACT_SUPPRESSED };

struct contact_channel {
    const struct policy_channel *policy;
    bool out; // a step took it away
    uint32_t days[RESERVATION_DAYS_MAX];
    size_t n_days;
};

struct contact {
    struct judging *judging;
    struct profile profile;
    int64_t now_us;

    // asked
    const char *contact_id, *content_id, *purpose;
    bool has_channels;
    const char *address;  // NULL: any of the customer's
    int64_t not_after_us; // INT64_MAX: none
    uint8_t lookup[LOOKUP_BYTES], content[LOOKUP_BYTES];
    bool marketing; // needs a consent, stops at complaints and objections
    bool skips;     // caps and quiet hours do not hold it
    bool was_deferred;

    struct zone *zone;
    struct contact_channel channels[CONTACT_CHANNELS_MAX]; // the preferred first
    size_t n_channels;
    const View__Place *places[CONTACT_PLACES_MAX]; // that count now, each contact once
    size_t n_places;

    // found
    enum contact_verdict verdict;
    const struct contact_channel *channel;
    int64_t until_us;
    bool reasons[CONTACT_N_REASONS];
    uint64_t decided_by[CONTACT_DECIDERS_MAX];
    size_t n_decided_by;
};

// ---- contact.c
// Goes through the steps; profile, channels and zone are there. 0 or a negative errno.
int contact_decide(struct contact *contact);
const char *contact_reason_code(enum contact_reason reason);
void contact_decided_by(struct contact *contact, uint64_t sequence);
// It is suppressed for this reason.
void contact_suppress(struct contact *contact, enum contact_reason reason, uint64_t sequence);
// The channel is not used for this reason; when none is left, the contact is suppressed.
void contact_take_out(struct contact *contact, struct contact_channel *channel,
                      enum contact_reason reason, uint64_t sequence);

// ---- the steps, each 0 or a negative errno
int contact_restriction(struct contact *contact); // contact_consent.c
int contact_consent(struct contact *contact);
int contact_same_content(struct contact *contact); // contact_caps.c
int contact_caps(struct contact *contact);
int contact_budget(struct contact *contact); // contact_channels.c
int contact_reachable(struct contact *contact);

// ---- contact_channels.c
// Which channels may be used, the preferred first, with the days each would occupy. list: of texts,
// NULL or empty: every one of the policy.
int contact_channels(struct contact *contact, const struct body_value *list);
// The addresses that a contact by this channel could go to, normalised; 0 where there are none.
enum { CONTACT_ADDRESSES_MAX = 64 };
size_t contact_addresses(const struct contact *contact, const struct policy_channel *channel,
                         const char *ret[static CONTACT_ADDRESSES_MAX]);
// The value in the one written form that the channel's addresses are compared in; itself where
// there is none.
const char *contact_normalise(const struct contact *contact, const struct policy_channel *channel,
                              const char *value);

// ---- contact_caps.c
// Gathers the places that count as of now_us.
void contact_places(struct contact *contact);
// Nobody asks for a place from then on, whose last day this is, wherever it is that day.
int64_t contact_window_end(uint32_t last_day);
// The place of this contact in any of the customer's leaves, and the leaf; NULL: none.
const View__Place *contact_find_place(const struct profile *profile,
                                      const uint8_t lookup[static LOOKUP_BYTES],
                                      uint64_t *ret_leaf);

// One more leaf of the customer, where it is none yet and there is room.
void contact_join_leaf(struct profile *profile, const struct profile_leaf *leaf);

// ---- contact_zone.c
// The customer's zone: what the profile says, else of the phone's or postal region, else the
// organisation's. 0 or -ENOMEM.
int contact_zone(const struct policy *policy, const struct profile *profile, struct zone **ret);

// ---- contact_answer.c
// The verdict's JSON, without sequence; NULL where memory is short.
json_t *contact_json(const struct contact *contact);
// What was decided about this contact_id before and still stands, as the verdict for the ack; NULL
// where it is to be decided (again): was_deferred is set where a deferred one waits.
int contact_answered(struct contact *contact, json_t **ret);

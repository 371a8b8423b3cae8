// SPDX-License-Identifier: Apache-2.0
// May this customer be contacted now, by which channel? Everything is decided and the place taken
// in one tick, on the tick's own transaction, so that of several who ask at once one gets it. The
// steps are a table, in the order of the rules; the first that decides ends it.
#include "broker/rules/contact.h"

#include <string.h>

#include "schemas/base/guards.h"

static const char *const reason_codes[] = {
#define CONTACT_REASON(NAME, code, text) [CONTACT_##NAME] = (code),
#include "broker/rules/contact_reasons.def"
#undef CONTACT_REASON
};

const char *contact_reason_code(enum contact_reason reason) {
    return reason_codes[reason];
}

void contact_decided_by(struct contact *contact, uint64_t sequence) {
    for (size_t i = 0; i < contact->n_decided_by; i++) {
        if (contact->decided_by[i] == sequence) {
            return;
        }
    }
    if (sequence != 0 && contact->n_decided_by < CONTACT_DECIDERS_MAX) {
        contact->decided_by[contact->n_decided_by++] = sequence;
    }
}

void contact_suppress(struct contact *contact, enum contact_reason reason, uint64_t sequence) {
    contact->verdict = CONTACT_SUPPRESSED;
    contact->reasons[reason] = true;
    contact_decided_by(contact, sequence);
}

static struct contact_channel *first_left(struct contact *contact) {
    for (size_t i = 0; i < contact->n_channels; i++) {
        if (!contact->channels[i].out) {
            return &contact->channels[i];
        }
    }
    return NULL;
}

void contact_take_out(struct contact *contact, struct contact_channel *channel,
                      enum contact_reason reason, uint64_t sequence) {
    if (channel->out) {
        return;
    }
    channel->out = true;
    contact->reasons[reason] = true;
    contact_decided_by(contact, sequence);
    if (first_left(contact) == NULL) {
        contact->verdict = CONTACT_SUPPRESSED;
    }
}

// ---- steps

static int step_expired(struct contact *contact) {
    if (GUARD(contact_expired) && contact->now_us > contact->not_after_us) {
        contact_suppress(contact, CONTACT_EXPIRED, 0);
    }
    return 0;
}

static int step_complaint(struct contact *contact) {
    View__Item **items;
    size_t n;
    if (!contact->marketing) {
        return 0;
    }
    int r = profile_open(&contact->profile, ITEM_CASE, contact->now_us, CASES_OPEN_MAX, &items, &n);
    if (r == 1) {
        contact_suppress(contact, CONTACT_TOO_MANY, 0);
        return 0;
    }
    for (size_t i = 0; r == 0 && i < n; i++) {
        const char *kind = profile_member_text(&contact->profile, items[i], "kind");
        if (GUARD(contact_complaint) && kind != NULL && strcmp(kind, "complaint") == 0) {
            contact_suppress(contact, CONTACT_COMPLAINT,
                             profile_member(items[i], "state")->sequence);
        }
    }
    return r;
}

static bool is_quiet(const struct policy_contact *policy, int64_t of_day_us) {
    int64_t from_us = policy->quiet_from_us, until_us = policy->quiet_until_us;
    return from_us <= until_us ? of_day_us >= from_us && of_day_us < until_us
                               : of_day_us >= from_us || of_day_us < until_us;
}

static int step_quiet(struct contact *contact) {
    const struct policy_contact *policy = &contact->judging->policy->contact;
    if (contact->skips || policy->quiet_from_us == policy->quiet_until_us ||
        !is_quiet(policy, zone_time_of_day(contact->zone, contact->now_us))) {
        return 0;
    }
    int64_t until_us = zone_next(contact->zone, contact->now_us, policy->quiet_until_us);
    if (GUARD(contact_expired) && until_us > contact->not_after_us) {
        contact_suppress(contact, CONTACT_EXPIRED, 0);
    } else if (GUARD(contact_quiet)) {
        contact->verdict = CONTACT_DEFERRED;
        contact->until_us = until_us;
    }
    contact->reasons[CONTACT_QUIET_HOURS] = true;
    return 0;
}

static int step_choose(struct contact *contact) {
    contact->channel = first_left(contact);
    contact->verdict = CONTACT_APPROVED;
    contact->until_us = contact->now_us + contact->channel->policy->lapse_us;
    return 0;
}

static int (*const STEPS[])(struct contact *contact) = {
    step_expired,   contact_restriction, contact_consent,   contact_same_content, contact_caps,
    step_complaint, contact_budget,      contact_reachable, step_quiet,           step_choose,
};

int contact_decide(struct contact *contact) {
    int r = 0;
    contact_places(contact);
    for (size_t i = 0; r == 0 && contact->verdict == CONTACT_OPEN; i++) {
        r = STEPS[i](contact); // the last one decides
    }
    return r;
}

// SPDX-License-Identifier: Apache-2.0
// May this customer be contacted now, by which channel? Everything is decided and the place taken
// in one tick, on the tick's own transaction, so that of several who ask at once one gets it. The
// steps are a table, in the order of the rules; the first that decides ends it.
#include "broker/rules/contact.h"

#include <errno.h>
#include <string.h>

#include "schemas/base/clock.h"
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
    int r = profile_items(&contact->profile, ITEM_CASE, CONTACT_ITEMS_MAX, &items, &n);
    for (size_t i = 0; r == 0 && i < n; i++) {
        const char *state = profile_member_text(&contact->profile, items[i], "state");
        const char *kind = profile_member_text(&contact->profile, items[i], "kind");
        if (GUARD(contact_complaint) && state != NULL && kind != NULL &&
            strcmp(state, "open") == 0 && strcmp(kind, "complaint") == 0) {
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
    step_expired,   contact_restriction, contact_consent, contact_same_content, contact_caps,
    step_complaint, contact_reachable,   step_quiet,      step_choose,
};

static int decide(struct contact *contact) {
    int r = 0;
    contact_places(contact);
    for (size_t i = 0; r == 0 && contact->verdict == CONTACT_OPEN; i++) {
        r = STEPS[i](contact); // the last one decides
    }
    return r;
}

// ---- what was asked

static const char *text_of(struct arena *arena, const ProtobufCBinaryData *data, const char *name) {
    struct body_value value;
    if (!body_find(data->data, data->len, name, &value) || value.kind != BODY_TEXT ||
        value.text_size > ID_BYTES_MAX) {
        return NULL;
    }
    return arena_printf(arena, "%.*s", (int)value.text_size, value.text);
}

static void set_purpose(struct contact *contact) {
    const struct policy_contact *policy = &contact->judging->policy->contact;
    contact->marketing = policy->n_marketing > 0 &&
                         policy_holds(policy->marketing, policy->n_marketing, contact->purpose);
    contact->skips =
        policy->n_skip > 0 && policy_holds(policy->skip, policy->n_skip, contact->purpose);
}

static int set_lookups(struct contact *contact) {
    const uint8_t *secret = contact->judging->secret;
    return lookup_reference(secret, "contact", contact->contact_id, contact->lookup) &&
                   lookup_reference(secret, "content", contact->content_id, contact->content)
               ? 0
               : -EINVAL;
}

// data: of contact.requested. 0; -EINVAL: it cannot be judged; -ENOMEM.
static int read_request(struct contact *contact, const ProtobufCBinaryData *data) {
    struct arena *arena = contact->judging->arena;
    contact->contact_id = text_of(arena, data, "contact_id");
    contact->content_id = text_of(arena, data, "content_id");
    contact->purpose = text_of(arena, data, "purpose");
    contact->address = text_of(arena, data, "address");
    const char *not_after = text_of(arena, data, "not_after");
    contact->not_after_us = INT64_MAX;
    if (not_after != NULL && clock_parse_rfc3339(not_after, &contact->not_after_us) != 0) {
        contact->not_after_us = INT64_MAX;
    }
    if (contact->contact_id == NULL || contact->content_id == NULL || contact->purpose == NULL) {
        return -EINVAL;
    }
    set_purpose(contact);
    return set_lookups(contact);
}

// ---- what comes of it

static int reserve(const struct contact *contact, Touchbus__Event *event) {
    struct arena *arena = contact->judging->arena;
    const struct contact_channel *channel = contact->channel;
    Touchbus__Reservation *reservation = arena_alloc(arena, sizeof(*reservation));
    Touchbus__Stamp *stamp =
        event->stamp != NULL ? event->stamp : arena_alloc(arena, sizeof(*stamp));
    if (reservation == NULL || stamp == NULL) {
        return -ENOMEM;
    }
    if (event->stamp == NULL) {
        touchbus__stamp__init(stamp);
    }
    touchbus__reservation__init(reservation);
    reservation->contact.data = arena_copy(arena, contact->lookup, LOOKUP_BYTES);
    reservation->content.data = arena_copy(arena, contact->content, LOOKUP_BYTES);
    reservation->contact.len = reservation->content.len = LOOKUP_BYTES;
    reservation->channel = arena_strdup(arena, channel->policy->name);
    reservation->state = RESERVATION_HELD;
    reservation->customer = event->customer;
    reservation->days = arena_copy(arena, channel->days, sizeof(channel->days));
    reservation->n_days = channel->n_days;
    reservation->counts = !contact->skips;
    reservation->lapse_us = contact->until_us;
    reservation->until_us = contact_window_end(channel->days[channel->n_days - 1]);
    event->stamp = stamp;
    stamp->reservation = reservation;
    return reservation->contact.data == NULL || reservation->content.data == NULL ||
                   reservation->channel == NULL || reservation->days == NULL
               ? -ENOMEM
               : 0;
}

// contact.decided behind the event, and the same in the ack.
static int tell(struct contact *contact, bool was_deferred) {
    struct judging *judging = contact->judging;
    json_t *verdict = contact_json(contact);
    json_t *copy = verdict == NULL ? NULL : json_deep_copy(verdict);
    uint64_t sequence = judging->sequence + 1 + judging->findings->n_follow_ups;
    Touchbus__Event *event;
    int r = rules_follow_up(judging, "contact", "contact.decided", copy, judging->customer, &event);
    if (r != 0) {
        json_decref(verdict);
        return r < 0 ? r : 0;
    }
    if (contact->verdict == CONTACT_APPROVED && judging->customer != 0) {
        r = reserve(contact, event);
    }
    if (r == 0 && (contact->verdict == CONTACT_DEFERRED || was_deferred)) {
        int64_t due_us = contact->verdict == CONTACT_DEFERRED
                             ? judging->timer_us + (contact->until_us - contact->now_us)
                             : 0;
        r = rules_arm(judging->arena, event, TIMER_CONTACT, contact->lookup, due_us);
    }
    json_object_set_new(verdict, "sequence", json_integer((json_int_t)sequence));
    int told = rules_verdict(judging, verdict);
    return r != 0 ? r : told;
}

// A customer is known: everything that is asked of the profile.
static int judge(struct contact *contact, const struct body_value *channels, bool *ret_deferred,
                 json_t **ret_again) {
    struct judging *judging = contact->judging;
    int r = contact_answered(contact, ret_again, ret_deferred);
    if (r != 0 || *ret_again != NULL) {
        return r;
    }
    r = contact_zone(judging->policy, &contact->profile, &contact->zone);
    r = r != 0 ? r : contact_channels(contact, channels);
    r = r != 0 ? r : decide(contact);
    contact->zone = zone_close(contact->zone);
    return r;
}

int rules_contact_requested(struct judging *judging) {
    const ProtobufCBinaryData *data = &judging->event->data;
    struct contact *contact = arena_calloc(judging->arena, 1, sizeof(*contact));
    if (contact == NULL) {
        return -ENOMEM;
    }
    contact->judging = judging;
    contact->now_us = judging->now_us;
    int r = read_request(contact, data);
    if (r != 0) {
        return r == -EINVAL ? 0 : r;
    }
    r = fold_flush(judging->fold, judging->txn);
    r = r != 0 ? r
               : profile_read(judging->txn, judging->arena, judging->customer, &contact->profile);
    bool was_deferred = false;
    json_t *again = NULL;
    struct body_value channels;
    bool has_channels = body_find(data->data, data->len, "channels", &channels);
    if (r == 0) {
        r = judge(contact, has_channels ? &channels : NULL, &was_deferred, &again);
    } else if (r == 1) {
        contact_suppress(contact, CONTACT_NOBODY, 0);
        r = 0;
    }
    return r != 0 ? r : again != NULL ? rules_verdict(judging, again) : tell(contact, was_deferred);
}

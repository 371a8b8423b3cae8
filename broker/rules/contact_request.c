// SPDX-License-Identifier: Apache-2.0
// What was asked for, and what comes of it: contact.decided behind contact.requested, with the
// place it takes or the time it waits for, and the same in the ack. A deferred one is read again
// from its item when it is due.
#include <errno.h>
#include <string.h>

#include "broker/rules/contact.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"

// ---- what was asked

static int set_lookups(struct contact *contact) {
    const struct policy_contact *policy = &contact->judging->policy->contact;
    const uint8_t *secret = contact->judging->secret;
    if (contact->contact_id == NULL || contact->content_id == NULL || contact->purpose == NULL ||
        !lookup_reference(secret, "contact", contact->contact_id, contact->lookup) ||
        !lookup_reference(secret, "content", contact->content_id, contact->content)) {
        return 1;
    }
    contact->marketing = policy->n_marketing > 0 &&
                         policy_holds(policy->marketing, policy->n_marketing, contact->purpose);
    contact->skips =
        policy->n_skip > 0 && policy_holds(policy->skip, policy->n_skip, contact->purpose);
    return 0;
}

static void set_not_after(struct contact *contact, const char *text) {
    contact->not_after_us = INT64_MAX;
    if (text != NULL && clock_parse_rfc3339(text, &contact->not_after_us) != 0) {
        contact->not_after_us = INT64_MAX;
    }
}

// 0; 1: it cannot be judged.
static int read_event(struct contact *contact, struct body_value *ret_channels) {
    const struct judging *judging = contact->judging;
    const ProtobufCBinaryData *data = &judging->event->data;
    contact->contact_id = rules_text(judging, "contact_id");
    contact->content_id = rules_text(judging, "content_id");
    contact->purpose = rules_text(judging, "purpose");
    contact->address = rules_text(judging, "address");
    set_not_after(contact, rules_text(judging, "not_after"));
    contact->has_channels = body_find(data->data, data->len, "channels", ret_channels);
    return set_lookups(contact);
}

static int read_item(struct contact *contact, const View__Item *item,
                     struct body_value *ret_channels) {
    const struct profile *profile = &contact->profile;
    const View__Attribute *channels = profile_member(item, "channels");
    contact->contact_id = item->id;
    contact->content_id = profile_member_text(profile, item, "content_id");
    contact->purpose = profile_member_text(profile, item, "purpose");
    contact->address = profile_member_text(profile, item, "address");
    set_not_after(contact, profile_member_text(profile, item, "not_after"));
    contact->has_channels =
        channels != NULL && body_read(channels->value.data, channels->value.len, ret_channels);
    return set_lookups(contact);
}

// ---- what comes of it

static int reserve(const struct contact *contact, Touchbus__Event *event) {
    struct arena *arena = contact->judging->arena;
    const struct contact_channel *channel = contact->channel;
    Touchbus__Reservation *reservation = arena_alloc(arena, sizeof(*reservation));
    Touchbus__Stamp *stamp = arena_alloc(arena, sizeof(*stamp));
    if (reservation == NULL || stamp == NULL) {
        return -ENOMEM;
    }
    touchbus__stamp__init(stamp);
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

// A deferred one waits for its time; one that waited does no more.
static int arm(const struct contact *contact, Touchbus__Event *event) {
    const struct judging *judging = contact->judging;
    int64_t due_us = 0;
    if (contact->verdict == CONTACT_DEFERRED) {
        due_us = judging->timer_us + (contact->until_us - contact->now_us);
    } else if (!contact->was_deferred) {
        return 0;
    }
    return rules_arm(judging->arena, event, TIMER_CONTACT, contact->lookup, due_us);
}

static int tell(struct contact *contact) {
    struct judging *judging = contact->judging;
    json_t *verdict = contact_json(contact);
    json_t *copy = verdict == NULL ? NULL : json_deep_copy(verdict);
    uint64_t sequence = judging->sequence + 1 + judging->findings->n_follow_ups;
    Touchbus__Event *event;
    int r = rules_follow_up(judging, "contact", "contact.decided", copy, judging->customer, &event);
    if (r == 0 && contact->verdict == CONTACT_APPROVED) {
        r = reserve(contact, event);
    }
    r = r != 0 ? r : arm(contact, event);
    if (r != 0 || judging->sequence == 0) { // nobody waits for what a timer decides
        json_decref(verdict);
        return r < 0 ? r : 0;
    }
    json_object_set_new(verdict, "sequence", json_integer((json_int_t)sequence));
    return rules_verdict(judging, verdict);
}

// ---- whom

// Customers that this very event merges are one already, though the merge is folded behind it.
static int join_merging(struct contact *contact) {
    const struct findings *findings = contact->judging->findings;
    struct profile *profile = &contact->profile;
    int r = 0;
    for (size_t i = 0; r == 0 && i < findings->n_follow_ups; i++) {
        const Touchbus__Stamp *stamp = findings->follow_ups[i]->stamp;
        for (int side = 0; r == 0 && stamp != NULL && stamp->merge_from != 0 && side < 2; side++) {
            struct profile other;
            r = profile_read(profile->txn, profile->arena,
                             side == 0 ? stamp->merge_from : stamp->merge_into, &other);
            for (size_t j = 0; GUARD(contact_merging) && r == 0 && j < other.n_leaves; j++) {
                contact_join_leaf(profile, &other.leaves[j]);
            }
        }
    }
    return r > 0 ? 0 : r;
}

static int judge(struct contact *contact, const struct body_value *channels) {
    struct judging *judging = contact->judging;
    int r = contact_zone(judging->policy, &contact->profile, &contact->zone);
    r = r != 0 ? r : contact_channels(contact, contact->has_channels ? channels : NULL);
    r = r != 0 ? r : contact_decide(contact);
    contact->zone = zone_close(contact->zone);
    return r;
}

static int judge_event(struct judging *judging, struct arena *arena, const struct profile *profile,
                       bool known) {
    struct contact *contact = arena_calloc(arena, 1, sizeof(*contact));
    struct body_value channels;
    json_t *again = NULL;
    if (contact == NULL) {
        return -ENOMEM;
    }
    contact->judging = judging;
    contact->now_us = judging->now_us;
    if (read_event(contact, &channels) != 0) {
        return 0;
    }
    if (!known) {
        contact_suppress(contact, CONTACT_NOBODY, 0);
        return tell(contact);
    }
    contact->profile = *profile;
    int r = join_merging(contact);
    r = r != 0 ? r : contact_answered(contact, &again);
    if (r == 0 && again != NULL) {
        return rules_verdict(judging, again);
    }
    r = r != 0 ? r : judge(contact, &channels);
    return r != 0 ? r : tell(contact);
}

int rules_contact_requested(struct judging *judging) {
    struct arena *arena;
    struct profile profile;
    int r = rules_profile(judging, judging->customer, &arena, &profile);
    r = r < 0 ? r : judge_event(judging, arena, &profile, r == 0);
    arena_free(arena);
    return r;
}

int rules_contact_redacted(struct judging *judging) {
    struct contact *contact = arena_calloc(judging->arena, 1, sizeof(*contact));
    if (contact == NULL) {
        return -ENOMEM;
    }
    contact->contact_id = contact->content_id = "";
    contact_suppress(contact, CONTACT_ERASED, 0);
    return rules_verdict(judging, contact_json(contact));
}

// ---- when it is due

static int judge_due(struct judging *judging, const struct timer_due *due, struct arena *arena,
                     const struct profile *profile) {
    struct contact *contact = arena_calloc(arena, 1, sizeof(*contact));
    struct body_value channels;
    View__Item *item;
    if (contact == NULL) {
        return -ENOMEM;
    }
    contact->judging = judging;
    contact->now_us = judging->now_us;
    contact->profile = *profile;
    int r = profile_item_at(profile, ITEM_CONTACT, due->id, &item);
    const char *verdict =
        r != 0 || item == NULL ? NULL : profile_member_text(profile, item, "verdict");
    if (verdict == NULL || strcmp(verdict, "deferred") != 0 ||
        read_item(contact, item, &channels) != 0) {
        return r;
    }
    r = judge(contact, &channels);
    return r != 0 ? r : tell(contact);
}

int rules_contact_due(struct judging *judging, const struct timer_due *due) {
    struct arena *arena;
    struct profile profile;
    int r = rules_profile(judging, due->customer, &arena, &profile);
    r = r == 0 ? judge_due(judging, due, arena, &profile) : r;
    arena_free(arena);
    return r < 0 ? r : 0;
}

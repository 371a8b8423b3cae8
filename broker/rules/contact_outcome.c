// SPDX-License-Identifier: Apache-2.0
// What became of a contact: message.sent and call.placed hand it over, a failure before that frees
// its place. What was sent without asking takes a place of its own where it says what it was: a
// content, or a call's purpose that the caps hold.
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "broker/rules/contact.h"
#include "schemas/base/guards.h"

static Touchbus__Reservation *make(struct judging *judging, const uint8_t *lookup,
                                   enum reservation_state state) {
    Touchbus__Stamp *stamp = rules_make_stamp(judging);
    Touchbus__Reservation *reservation =
        stamp == NULL ? NULL : arena_alloc(judging->arena, sizeof(*reservation));
    uint8_t *contact = arena_copy(judging->arena, lookup, LOOKUP_BYTES);
    if (reservation == NULL || contact == NULL) {
        return NULL;
    }
    touchbus__reservation__init(reservation);
    reservation->contact = (ProtobufCBinaryData){.len = LOOKUP_BYTES, .data = contact};
    reservation->state = state;
    stamp->reservation = reservation;
    return reservation;
}

// The leaf with this contact's place; 0: none has one.
static int find_leaf(struct judging *judging, uint64_t customer,
                     const uint8_t lookup[static LOOKUP_BYTES], uint64_t *ret) {
    struct profile *profile = arena_alloc(judging->arena, sizeof(*profile));
    *ret = 0;
    if (profile == NULL) {
        return -ENOMEM;
    }
    int r = customer == 0 ? 1 : profile_read(judging->txn, judging->arena, customer, profile);
    if (r == 0) {
        contact_find_place(profile, lookup, ret);
    }
    return r < 0 ? r : 0;
}

// Whose contact it is may be another than who the message's address leads to.
static int whose_contact(struct judging *judging, const uint8_t lookup[static LOOKUP_BYTES],
                         uint64_t *ret) {
    const void *number;
    size_t size;
    int r = view_get(judging->txn, VIEW_LOOKUPS, lookup, LOOKUP_BYTES, &number, &size);
    *ret = 0;
    if (r == 0 && size == sizeof(*ret)) {
        memcpy(ret, number, size);
        *ret = be64toh(*ret);
    }
    return r < 0 ? r : 0;
}

static int settle(struct judging *judging, const char *contact_id, enum reservation_state state,
                  bool *ret_found) {
    uint8_t lookup[LOOKUP_BYTES];
    uint64_t leaf = 0, owner;
    *ret_found = false;
    if (!lookup_reference(judging->secret, "contact", contact_id, lookup)) {
        return 0;
    }
    int r = fold_flush(judging->fold, judging->txn);
    r = r != 0 ? r : find_leaf(judging, judging->customer, lookup, &leaf);
    if (r == 0 && leaf == 0) {
        r = whose_contact(judging, lookup, &owner);
        r = r != 0 ? r : find_leaf(judging, owner, lookup, &leaf);
    }
    if (r != 0 || leaf == 0) {
        return r;
    }
    Touchbus__Reservation *reservation = make(judging, lookup, state);
    if (reservation == NULL) {
        return -ENOMEM;
    }
    reservation->customer = leaf;
    *ret_found = true;
    return 0;
}

// ---- what nobody asked for

// Its days are of the customer's zone; one that is made by this event has only the organisation's.
static int set_days(struct judging *judging, const struct policy_channel *channel,
                    Touchbus__Reservation *reservation) {
    struct profile *profile = arena_calloc(judging->arena, 1, sizeof(*profile));
    uint32_t *days = arena_alloc(judging->arena, RESERVATION_DAYS_MAX * sizeof(*days));
    struct zone *zone = NULL;
    if (profile == NULL || days == NULL) {
        return -ENOMEM;
    }
    int r = profile_read(judging->txn, judging->arena, judging->customer, profile);
    r = r < 0 ? r : contact_zone(judging->policy, profile, &zone);
    if (r != 0) {
        return r;
    }
    days[0] = zone_day(zone, judging->now_us);
    days[1] = zone_day(zone, judging->now_us + channel->arrives_us);
    zone_close(zone);
    reservation->days = days;
    reservation->n_days = days[1] != days[0] ? 2 : 1;
    reservation->until_us = contact_window_end(days[reservation->n_days - 1]);
    return 0;
}

static int count_unasked(struct judging *judging, const char *content_id) {
    const struct policy_channel *channel = policy_channel(judging->policy, judging->event->channel);
    uint8_t lookup[LOOKUP_BYTES], content[LOOKUP_BYTES];
    const char *id =
        arena_printf(judging->arena, "%s\x1f%s", judging->event->source, judging->event->id);
    if (channel == NULL || !channel->contact) {
        return 0;
    }
    if (id == NULL) {
        return -ENOMEM;
    }
    if (!lookup_reference(judging->secret, "unasked", id, lookup) ||
        !lookup_reference(judging->secret, "content", content_id != NULL ? content_id : id,
                          content)) {
        return 0;
    }
    int r = fold_flush(judging->fold, judging->txn);
    Touchbus__Reservation *reservation = r != 0 ? NULL : make(judging, lookup, RESERVATION_HANDED);
    if (reservation == NULL) {
        return r != 0 ? r : -ENOMEM;
    }
    reservation->content.data = arena_copy(judging->arena, content, LOOKUP_BYTES);
    reservation->content.len = LOOKUP_BYTES;
    reservation->channel = arena_strdup(judging->arena, channel->name);
    reservation->customer = judging->customer;
    reservation->counts = true;
    if (reservation->content.data == NULL || reservation->channel == NULL) {
        return -ENOMEM;
    }
    return set_days(judging, channel, reservation);
}

static bool is_held(const struct policy_contact *policy, const char *purpose) {
    return purpose != NULL &&
           !(policy->n_skip > 0 && policy_holds(policy->skip, policy->n_skip, purpose));
}

// ---- the rules

int rules_contact_handed(struct judging *judging) {
    const char *contact_id = rules_text(judging, "contact_id");
    const char *content_id = rules_text(judging, "content_id");
    bool found = false;
    int r = contact_id == NULL ? 0 : settle(judging, contact_id, RESERVATION_HANDED, &found);
    if (r != 0 || found || judging->customer == 0) {
        return r;
    }
    bool counts =
        content_id != NULL || is_held(&judging->policy->contact, rules_text(judging, "purpose"));
    return counts ? count_unasked(judging, content_id) : 0;
}

int rules_contact_failed(struct judging *judging) {
    static const char *const failures[] = {"failed", "bounced",       "rejected",
                                           "error",  "undeliverable", "cancelled"};
    const char *contact_id = rules_text(judging, "contact_id");
    const char *outcome = rules_text(judging, "outcome");
    bool found;
    for (size_t i = 0;
         contact_id != NULL && outcome != NULL && i < sizeof(failures) / sizeof(failures[0]); i++) {
        if (strcmp(failures[i], outcome) == 0) {
            return settle(judging, contact_id, RESERVATION_RELEASED, &found);
        }
    }
    return 0;
}

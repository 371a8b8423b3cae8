// SPDX-License-Identifier: Apache-2.0
// Erased persons, as subscriptions meet them: what waits in their parked lanes is given up, so that
// the erasing event comes through; an event of theirs that a sink cannot take any more is given up
// as well; and who has confirmed is told. All of it follows from the destroyed keys and the view,
// so that a start needs to remember nothing.
#include <stdlib.h>

#include "broker/delivery/delivery_internal.h"
#include "broker/tick/whose.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"
#include "schemas/envelope.h"
#include "schemas/reasons.h"

static const uint64_t lane_of_subject = UINT64_C(1) << 63; // else it is a customer's number

// The event that erased the lane's person; 0: there is none.
static uint64_t erased_sequence(struct delivery *delivery, uint64_t lane) {
    uint64_t sequence = 0;
    if ((lane & lane_of_subject) || !whose_is_erased(delivery->broker->keys, lane))
        return 0;
    return feed_erased(delivery->feed, lane, &sequence) < 0 ? 0 : sequence;
}

void erased_at(struct named *named, uint64_t lane, uint64_t sequence) {
    if (GUARD(parked_drop) && parking_erase(named->subscription, lane, sequence))
        logging_info("event=parked-erased subscription=%s", named->name);
}

void erased_tend(struct delivery *delivery) {
    uint64_t erasures = atomic_load(&delivery->broker->erasures);
    if (erasures == delivery->erasures)
        return;
    delivery->erasures = erasures;
    feed_forget(delivery->feed);
    for (struct named *named = delivery->named; named; named = named->next)
        for (struct parked *parked = named->subscription->parked, *next; parked; parked = next) {
            next = parked->next;
            uint64_t sequence =
                parked->state == PARKED_WAITING ? erased_sequence(delivery, parked->lane) : 0;
            if (sequence)
                erased_at(named, parked->lane, sequence);
        }
}

bool erased_gives_up(struct delivery *delivery, const struct named *named, uint64_t sequence) {
    const struct slot *slot = lane_table_get(&named->subscription->slots, sequence);
    return slot && sequence < erased_sequence(delivery, slot->links[0].number);
}

// ---- who confirmed

static bool is_settled(const struct subscription *subscription, uint64_t lane, uint64_t sequence) {
    const struct parked *parked = parking_find(subscription, lane);
    if (parked && parked->first <= sequence && sequence <= parked->last)
        return false;
    if (sequence <= subscription_cursor(subscription))
        return true;
    struct settled_range ranges[ACK_RANGES_MAX];
    size_t n = subscription_ranges(subscription, ranges, ACK_RANGES_MAX);
    for (size_t i = 0; i < n && i < ACK_RANGES_MAX; i++)
        if (ranges[i].first <= sequence && sequence <= ranges[i].last)
            return true;
    return false;
}

int erased_connectors(struct delivery *delivery, const char *customer, json_t **ret) {
    uint64_t lane;
    if (!customer || envelope_parse_customer(customer, &lane) < 0)
        return REASON_BAD_ARGUMENT;
    erased_tend(delivery);
    uint64_t sequence = erased_sequence(delivery, lane);
    json_t *list = json_array();
    for (const struct named *named = delivery->named; named; named = named->next) {
        if (!filter_takes(&named->filter, "privacy.changed", lane))
            continue;
        bool settled = sequence && is_settled(named->subscription, lane, sequence);
        json_array_append_new(list,
                              json_pack("{s:s,s:s,s:I}", "name", named->name, "state",
                                        settled ? "confirmed" : "pending", "cursor",
                                        (json_int_t)subscription_cursor(named->subscription)));
    }
    *ret = json_pack("{s:I,s:o}", "sequence", (json_int_t)sequence, "connectors", list);
    return 0;
}

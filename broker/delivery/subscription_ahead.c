// SPDX-License-Identifier: Apache-2.0
// What a failure takes back of the events that went ahead behind it (README.md, Lanes): one pass
// over what the member holds, in the order in which it was handed out, for all failures of one
// message.
#include <errno.h>

#include "broker/delivery/subscription.h"
#include "broker/delivery/subscription_internal.h"
#include "schemas/base/guards.h"

// Whether one of its lanes is marked.
static bool is_behind(const struct lane_table *marked, const struct slot *slot) {
    for (unsigned i = 0; i < slot->n_links; i++)
        if (lane_table_get(marked, slot->links[i].number))
            return true;
    return false;
}

static int mark_lanes(struct lane_table *marked, struct slot *slot) {
    for (unsigned i = 0; i < slot->n_links; i++) {
        if (lane_table_get(marked, slot->links[i].number))
            continue;
        if (lane_table_reserve(marked) < 0)
            return -ENOMEM;
        lane_table_put(marked, slot->links[i].number, slot);
    }
    return 0;
}

// False where one of them is not with the member.
static bool note_failing(struct subscription *subscription, const struct member *member,
                         const uint64_t *sequences, size_t n_sequences) {
    bool all_held = true;
    for (size_t i = 0; i < n_sequences; i++) {
        struct slot *slot = lane_table_get(&subscription->slots, sequences[i]);
        if (slot && slot->member == member)
            slot->failing = true;
        else
            all_held = false;
    }
    return all_held;
}

// The member goes by the same rule over the same events in the same order, so both know what it has
// left: lanes by their numbers, whether or not the queue of one still gates the event.
int subscription_take_back(struct subscription *subscription, struct member *member,
                           const uint64_t *sequences, size_t n_sequences) {
    if (!GUARD(ahead_taken_back) || member->lane_ahead <= 1 || n_sequences == 0)
        return 0;
    bool all = !note_failing(subscription, member, sequences, n_sequences) && GUARD(ahead_reset);
    struct lane_table marked = {0};
    int r = 0;
    for (struct slot *slot = member->held_first, *next; slot; slot = next) {
        next = slot->held_next;
        bool behind = all || is_behind(&marked, slot);
        if (((behind && GUARD(ahead_behind)) || slot->failing) && !all && r == 0)
            r = mark_lanes(&marked, slot);
        slot->failing = false;
        if (!behind)
            continue;
        slot->handed--; // it was not tried
        subscription_release(subscription, slot);
    }
    lane_table_clear(&marked);
    return r;
}

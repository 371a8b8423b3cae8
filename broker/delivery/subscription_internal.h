// SPDX-License-Identifier: Apache-2.0
// What the files of the state machine share; what the owner may call is in subscription.h.
#pragma once

#include "broker/delivery/subscription.h"

// Takes the slot, and everything behind it in its lanes, out of the window into parked lanes. The
// slot is with no member. False: no room for another parked lane, the slot is as it was.
bool parking_park(struct subscription *subscription, struct slot *slot, bool rejected,
                  const char *detail, int64_t now_us);
// Whether a lane could not park for want of room, and there still is none (room that others make
// counts).
bool parking_is_full(const struct subscription *subscription);
// Whether the event belongs to a parked lane, and if so counts it there. 0 no, 1 yes, or -ENOMEM.
int parking_swallow(struct subscription *subscription, uint64_t sequence, const uint64_t *lanes,
                    unsigned n_lanes, int64_t now_us);
// A slot of a lane under release was settled: frees it.
void parking_drained(struct subscription *subscription, struct slot *slot);
// Released lanes start again from their first event: their slots are gone.
void parking_rewind(struct subscription *subscription);
// What lies below floor is gone from the log. The lowest sequence lost; UINT64_MAX: none.
uint64_t parking_trim(struct subscription *subscription, uint64_t floor);
// Drops the rows that begin above cursor.
void parking_reset(struct subscription *subscription, uint64_t cursor);
uint64_t parking_floor(const struct subscription *subscription); // UINT64_MAX: none
void parking_clear(struct subscription *subscription);           // for subscription_free

// ---- of subscription.c
void window_remove(struct subscription *subscription, struct slot *slot); // settled: frees it
// Frees a slot that is in no list.
void subscription_discard(struct subscription *subscription, struct slot *slot);
struct slot *subscription_slot_new(struct subscription *subscription, uint64_t sequence,
                                   enum slot_kind kind, const uint64_t *lanes, unsigned n_lanes);
// Takes it from the member that holds it.
void subscription_detach(struct slot *slot);
// It is with nobody again: ready, or waiting where it is not first.
void subscription_release(struct subscription *subscription, struct slot *slot);
void subscription_again_remove(struct subscription *subscription, struct slot *slot);
// Forgets all slots, so that reading starts again at the cursor with what is settled above it. 0 or
// -ENOMEM, then nothing was forgotten.
int subscription_unload(struct subscription *subscription);

// ---- of parking.c and parking_release.c
void parking_list(struct subscription *subscription, struct parked *parked);   // at the end
void parking_forget(struct subscription *subscription, struct parked *parked); // frees it
// Everything of the lane below sequence is settled (or, going back, owed again from there on).
void parking_advance(struct parked *parked, uint64_t sequence);
void parking_end(struct subscription *subscription, struct parked *parked);
void parking_waive(struct subscription *subscription, uint64_t number, uint64_t sequence);
void parking_unlist(struct subscription *subscription, struct parked *parked);

// SPDX-License-Identifier: Apache-2.0
// The rules that the tables of rules.c and due.c name, one file a concern, and what they share.
#pragma once

#include "broker/profile/profile.h"
#include "broker/rules/rules.h"

// ---- checkout.c: a cart that is left
int checkout_stamp_cart(struct judging *judging);  // cart.changed
int checkout_stamp_order(struct judging *judging); // order.placed
int checkout_due(struct judging *judging, const struct timer_due *due);

// ---- identity.c: asked for by a person
int identity_refuse_merge(struct judging *judging); // merge.requested
int identity_follow_merge(struct judging *judging);
int identity_refuse_split(struct judging *judging); // split.requested
int identity_follow_split(struct judging *judging);

// ---- quotes.c: one open revision for all channels
int quotes_refuse(struct judging *judging); // quote.issued

// ---- standing.c: tier and phase
int standing_follow(struct judging *judging);
int standing_follow_visit(struct judging *judging);
int standing_follow_attributes(struct judging *judging);
int standing_follow_identity(struct judging *judging);
int standing_due(struct judging *judging, const struct timer_due *due);

// ---- reading.c
// The joined profile of the leaf, as of every event ahead of this one, in an arena of its own: a
// customer's rows may be many, and the tick's arena is everybody's. *ret_arena is the caller's to
// free, whatever is returned. 0; 1: there is no such customer; a negative errno.
int rules_profile(struct judging *judging, uint64_t leaf, struct arena **ret_arena,
                  struct profile *ret);
// The id of the first reference of this kind in the event being judged; NULL: there is none.
const char *rules_reference(const struct judging *judging, const char *kind);
// A text of the event's data in the tick's arena (whole numbers as text); NULL where there is none.
const char *rules_text(const struct judging *judging, const char *name);
// ---- contact_request.c: may a customer be contacted
int rules_contact_requested(struct judging *judging);
int rules_contact_redacted(struct judging *judging); // of an erased person, without data
int rules_contact_due(struct judging *judging, const struct timer_due *due);
// ---- contact_outcome.c: what became of it
int rules_contact_handed(struct judging *judging);
int rules_contact_failed(struct judging *judging);

// ---- routing.c: live interactions and the agents for them
int routing_stamp(struct judging *judging);
int routing_stamp_agent(struct judging *judging);
int routing_follow(struct judging *judging);
int routing_follow_agent(struct judging *judging);
int routing_due(struct judging *judging, const struct timer_due *due);
int routing_callback_due(struct judging *judging, const struct timer_due *due);

// ---- score.c: of every type
int score_stamp(struct judging *judging);
int score_follow(struct judging *judging);

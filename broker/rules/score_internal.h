// SPDX-License-Identifier: Apache-2.0
// What the files of the scorecard's rules share: an event on its way to its scores.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/fold/items.h"
#include "broker/rules/rules_internal.h"
#include "broker/rules/score.h"
#include "schemas/base/money.h"
#include "schemas/body.h"
#include "view.pb-c.h"

struct scoring {
    struct judging *judging;
    const Touchbus__Event *event;
    int64_t time_us;        // the event's, clamped as the fold does
    const char *tier;       // the customer's now; "" nobody's
    Touchbus__Score *score; // the event's own cell: hour and channel of it
    bool changed;           // something was added to it
    bool is_contact;        // of a type that the policy counts as a contact
};

// ---- score_cells.c
// One more score, of another cell; NULL where memory is short, or STAMP_SCORES_MAX stand there.
Touchbus__Score *score_add(struct scoring *scoring, uint32_t hour, const char *channel,
                           const char *tier);
// Appends it to the event's stamp. 0 or -ENOMEM.
int score_put(struct scoring *scoring, Touchbus__Score *score);
// What was kept for an order, case or message, in the arena; *ret NULL: nothing. *ret_lookup is its
// lookup, in the arena.
int score_kept(const struct scoring *scoring, uint32_t item_kind, const char *id, View__Kept **ret,
               ProtobufCBinaryData *ret_lookup);
// What the score is about, for a later event.
void score_about(Touchbus__Score *score, uint32_t item_kind, ProtobufCBinaryData lookup,
                 bool settles);

// ---- score_data.c: members of an event's data
bool score_value(const struct scoring *scoring, const char *name, struct body_value *ret);
// A number in millionths: of a number, or of decimal text. False: it is none, or too large.
bool score_number(const struct body_value *value, int64_t *ret_micro);
// Money of the data, or of the event's cost attribute; false where it is none. An amount in another
// currency than the organisation's is none, and counted as such.
bool score_money(struct scoring *scoring, const char *text, size_t size, const char *currency,
                 int64_t *ret_micro);

// ---- what types add, one file a concern; rows of score.c
int score_order_placed(struct scoring *scoring); // score_orders.c
int score_order_changed(struct scoring *scoring);
int score_case_opened(struct scoring *scoring); // score_cases.c
int score_case_resolved(struct scoring *scoring);
int score_message_received(struct scoring *scoring); // score_live.c
int score_message_sent(struct scoring *scoring);
int score_call_answered(struct scoring *scoring);
int score_call_ended(struct scoring *scoring);
int score_chat_state(struct scoring *scoring);
int score_chat_message(struct scoring *scoring);

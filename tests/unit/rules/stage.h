// SPDX-License-Identifier: Apache-2.0
// Events through decide, fold and the rules, as a tick takes them, under a policy and a clock of
// the test's own: what they stamp, cause and answer is kept.
#pragma once

#include "tests/unit/tick/support.h"

#include "broker/fold/fold.h"
#include "broker/tick/decide.h"
#include "schemas/catalogue.h"

enum { STAGE_CAUSED_MAX = 8 };

struct stage {
    struct fixture *fixture;
    struct arena *arena;
    struct configuration configuration;
    struct catalogue *catalogue;
    struct policy *policy;
    struct decide *decide;
    struct fold *fold;
    uint64_t sequence, customers_last;
    int64_t now_us;
    Touchbus__Event *caused[STAGE_CAUSED_MAX]; // by the last one played
    size_t n_caused;
    const char *verdict; // of the last one played, as JSON text; "" none
};

// policy: YAML over the built-in one, NULL none. The clock starts at 2026-11-22T10:00:00Z.
void stage_open(struct stage *stage, void **state, const char *policy);
void stage_close(struct stage *stage);
// An event over the channel, of the customer with this user_id (NULL nobody), that happens now.
Touchbus__Event *stage_event(struct stage *stage, const char *type, const char *channel,
                             const char *user, const char *data);
void stage_play(struct stage *stage, Touchbus__Event *event);
// Both.
Touchbus__Event *stage_say(struct stage *stage, const char *type, const char *channel,
                           const char *user, const char *data);
// The customer of this event has this tier from here on.
void stage_tier(struct stage *stage, const Touchbus__Event *event, const char *tier);
// What is due now, as the tick asks for it.
void stage_due(struct stage *stage);
// The first event of this type that the last one caused; NULL: none.
Touchbus__Event *stage_caused(const struct stage *stage, const char *type);
// A member of an event's data as JSON text; "" where it has none.
const char *stage_data(const struct stage *stage, const Touchbus__Event *event, const char *name);

// SPDX-License-Identifier: Apache-2.0
// Decide, fold and the rules in one place, as a tick has them, with a clock and a policy of the
// test's: what is published here is judged, folded, and followed by what it causes.
#pragma once

#include "tests/unit/tick/support.h"

#include <jansson.h>

#include "broker/fold/fold.h"
#include "broker/tick/decide.h"

struct house {
    struct fixture *fixture;
    struct configuration configuration;
    struct policy *policy;
    struct catalogue *catalogue;
    struct decide *decide;
    struct fold *fold;
    uint64_t sequence, customers_last, last_customer;
    int64_t now_us;
    json_t *verdict; // of the last event that had one
    json_t *decided; // data of the last contact.decided
    int64_t due_us;  // of the last timer that was armed; 0: off
    uint8_t due_id[16];
};

#define HOUSE_NOON "2026-06-10T10:00:00Z" // a Wednesday, noon in Berlin
#define HOUSE_HOUR_US (INT64_C(3600) * 1000000)
#define HOUSE_DAY_US (24 * HOUSE_HOUR_US)

// policy is YAML laid over the built-in one, or NULL.
void house_open(void **state, const char *policy, struct house *ret);
void house_close(struct house *house);
void house_set_time(struct house *house, const char *rfc3339);
// Publishes with one identity, "KIND=VALUE" (NULL: none), at the house's time.
void house_say(struct house *house, const char *identity, const char *type, const char *data);
// The same with an event of the test's own making.
void house_publish(struct house *house, Touchbus__Event *event);
// Asks for a contact; the verdict is house->verdict. Text of its member "verdict".
const char *house_ask(struct house *house, const char *identity, const char *data);
// What is due at the house's time: the last timer armed.
void house_due(struct house *house);
// Whether a list of the last verdict holds this text, or this number.
bool house_has_reason(const struct house *house, const char *code);
bool house_decided_by(const struct house *house, uint64_t sequence);
// Makes `from` a part of `into`, in the records as they stand.
void house_merge(struct house *house, uint64_t from, uint64_t into);
// An identity.changed that cuts the leaf off.
void house_split(struct house *house, uint64_t leaf);

// SPDX-License-Identifier: Apache-2.0
// Whose a key or an event is, as the view's look-up table says it, for threads that only read: the
// query's verbs, the purge of the quarantine, delivery. A key of an erased person still leads to
// that person's number: with the destroyed key it is the tombstone. decide asks the fold as well
// and has its own way (resolve.c).
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/policy/holder.h"
#include "broker/stores/keys.h"
#include "broker/stores/view.h"
#include "schemas/base/arena.h"
#include "schemas/catalogue.h"
#include "touchbus.pb-c.h"

struct whose {
    const struct keys *keys;
    struct view_txn *txn;
    struct arena *arena;
    struct policy_holder *policies; // NULL: the built-in classes, no region
};

// The customer that a key leads to, 0 nobody. value as published: it is normalised here. 0, or 1
// where the value is no key; negative errno.
int whose_key(const struct whose *whose, const char *kind, const char *value, uint64_t *ret);
// The same for a reference, e.g. ("order", "o-17"). 0 or a negative errno.
int whose_reference(const struct whose *whose, const char *kind, const char *id, uint64_t *ret);
// Whether this customer was erased. False for nobody.
bool whose_is_erased(const struct keys *keys, uint64_t customer);
// The event that erased the customer, 0 where it was not, or is not known. 0 or a negative errno.
int whose_erased_sequence(struct view_txn *txn, uint64_t customer, uint64_t *ret);
// Whose the event would be: *ret_owner a living customer (0: none), *ret_erased whether it leads to
// an erased one. The event is as published, and is not changed.
int whose_event(const struct whose *whose, const struct catalogue *catalogue,
                const Touchbus__Event *event, uint64_t *ret_owner, bool *ret_erased);
// Takes the identities of erased persons out of an event of somebody else.
int whose_drop_erased(const struct whose *whose, Touchbus__Event *event);
// Whether whose_drop_erased could find anything: cheap, and nearly always false.
bool whose_may_name_erased(const struct keys *keys, size_t n_identities, size_t n_keys);

// SPDX-License-Identifier: Apache-2.0
// Keys of customers in their one written form, so that equal keys are equal bytes. Pure: no
// look-ups. What it cannot make a key of is no key; the event stays accepted.
#pragma once

#include <stddef.h>

#include "broker/policy/policy.h"
#include "schemas/base/arena.h"

// How strongly a kind of key stands for one person, strongest first.
enum key_class {
    KEY_STRONG,  // crm_id, user_id, account, loyalty
    KEY_MEDIUM,  // email, phone, fax
    KEY_WEAK,    // anonymous_id, cookie, device, chat_handle, and kinds this table does not know
    KEY_PARTNER, // partner_id, gln, vat_id: suppliers and distributors, customers of their own kind
    KEY_SHARED,  // kiosk, switchboard, ...: belongs to many, never attaches, never makes a customer
};

// As the policy calls it.
const char *normalise_class_name(enum key_class class);
// The class of a kind, by the policy (NULL: none), then by the built-in table. A row of either
// stands for KIND and for KIND.REALM.
enum key_class normalise_class(const struct policy *policy, const char *kind);
// The normalised value in the arena, at most IDENTITY_VALUE_BYTES_MAX bytes. NULL: it is no key
// (nobody's value, malformed for its kind, too long), or the arena is full. value is UTF-8.
// The policy gives the region of phone numbers without a country and what else is nobody (NULL:
// neither).
const char *normalise_value(const struct policy *policy, const char *kind, const char *value,
                            struct arena *arena);

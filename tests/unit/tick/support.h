// SPDX-License-Identifier: Apache-2.0
// A view in a folder of its own, and events made from JSON, for the tests of decide and fold.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "broker/fold/items.h"
#include "broker/policy/policy.h"
#include "broker/stores/keys.h"
#include "broker/stores/view.h"
#include "schemas/base/arena.h"
#include "touchbus.pb-c.h"
#include "view.pb-c.h"

struct fixture {
    char *dir;
    struct view *view;
    struct view_txn *txn; // open for writing, with keys
    struct arena *arena;
    struct keys *keys; // CUSTOMERS_MAX have one
    struct keys_reader *secrets;
};
enum { CUSTOMERS_MAX = 1000 };

int support_setup(void **state); // *state: a struct fixture
int support_teardown(void **state);
// Opens fixture->txn, or another, of a view for writing, with the fixture's keys.
void support_begin(struct fixture *fixture, struct view *view, struct view_txn **ret);
// A second view beside the first, empty. The caller closes it.
struct view *support_view(struct fixture *fixture, const char *name);

// The built-in policy, for every test of the process.
const struct policy *support_policy(void);

// An event as envelope_unpack_event would give it; data is JSON text or NULL.
Touchbus__Event *support_event(struct arena *arena, const char *type, const char *id,
                               const char *data);
void support_identify(struct arena *arena, Touchbus__Event *event, const char *kind,
                      const char *value);
// A stamped key, with its lookup.
void support_attach(struct fixture *fixture, Touchbus__Event *event, const char *kind,
                    const char *value, bool verified);
// The decoded record; NULL where there is none.
View__Customer *support_customer(struct view_txn *txn, struct arena *arena, uint64_t number);
// What is sealed in it; empty where its key is destroyed.
View__Person *support_person(struct view_txn *txn, struct arena *arena, uint64_t number);
// The opened item; NULL where there is none, or its key is destroyed.
View__Item *support_item(struct view_txn *txn, struct arena *arena, uint64_t customer,
                         enum item_kind kind, const char *id);
// One of nobody.
View__Item *support_shared(struct view_txn *txn, struct arena *arena, enum item_kind kind,
                           const char *id);
// The member's value as JSON text in the arena; NULL where there is none.
const char *support_member(const View__Item *item, struct arena *arena, const char *name);
// The attribute's value as JSON text in the arena; NULL where there is none.
const char *support_attribute(const View__Person *person, struct arena *arena, const char *name);

// SPDX-License-Identifier: Apache-2.0
// A tick in a process: events are decided, folded, and their follow-ups in turn; time passes when a
// test says so, and what is due by it comes of it.
#pragma once

#include "../tick/support.h"

#include "broker/fold/fold.h"
#include "broker/policy/policy.h"
#include "broker/tick/decide.h"
#include "schemas/catalogue.h"

#define SCENE_SECOND INT64_C(1000000)
#define SCENE_DAY (86400 * SCENE_SECOND)
#define SCENE_START (INT64_C(1700000000) * SCENE_SECOND) // 2023-11-14T22:13:20Z
enum { SCENE_SAID_MAX = 256 };

struct scene {
    struct fixture *fixture;
    struct arena *arena;
    struct policy *policy;
    struct catalogue *catalogue;
    struct configuration configuration;
    struct decide *decide;
    struct fold *fold;
    int64_t now_us;
    uint64_t sequence, customers_last;
    struct decision decision; // of the last event that was played
    // Follow-ups since scene_forget, in their order.
    const Touchbus__Event *said[SCENE_SAID_MAX];
    size_t n_said;
};

// From nothing; policy: YAML over the built-in one, NULL for that alone.
void scene_open(void **state, const char *policy, struct scene *ret);
void scene_close(struct scene *scene);
// An event of whom the key "KIND=VALUE" names, by the scene's time; the customer that it is of, 0
// where it was refused.
uint64_t scene_play(struct scene *scene, const char *key, const char *type, const char *data);
// The event itself, which may be stamped before it is played.
uint64_t scene_play_event(struct scene *scene, Touchbus__Event *event);
void scene_pass(struct scene *scene, int64_t us); // what falls due meanwhile comes of it
void scene_erase(struct scene *scene, uint64_t customer);
void scene_forget(struct scene *scene);
// How many follow-ups of the type there were.
size_t scene_said(const struct scene *scene, const char *type);
// The last one of the type; NULL: there was none.
const Touchbus__Event *scene_last(const struct scene *scene, const char *type);
// Its data, or a verdict, as JSON text with sorted names; in the arena.
const char *scene_json(const struct scene *scene, const ProtobufCBinaryData *data);
// A member's text of its data; "" where there is none.
const char *scene_text(const struct scene *scene, const Touchbus__Event *event, const char *name);
size_t scene_n_due(struct scene *scene); // rows of VIEW_DUE
View__Customer *scene_record(struct scene *scene, uint64_t customer);

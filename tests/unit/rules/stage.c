// SPDX-License-Identifier: Apache-2.0
// See stage.h.
#include "tests/unit/rules/stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/policy/policy.h"
#include "schemas/body.h"

#define START_US INT64_C(1795341600000000)

void stage_open(struct stage *stage, void **state, const char *policy) {
    *stage = (struct stage){.fixture = *state, .now_us = START_US, .verdict = ""};
    stage->arena = stage->fixture->arena;
    view_abort(stage->fixture->txn); // each scene starts from nothing
    support_begin(stage->fixture, stage->fixture->view, &stage->fixture->txn);
    char *error = NULL;
    const char *text = policy != NULL ? policy : "";
    assert_int_equal(catalogue_load(NULL, &stage->catalogue, &error), 0);
    int r = policy == NULL ? policy_load(NULL, &stage->policy, &error)
                           : policy_parse(text, strlen(text), "test", &stage->policy, &error);
    if (r != 0) {
        print_error("%s\n", error);
    }
    assert_int_equal(r, 0);
    assert_int_equal(decide_new(&stage->configuration, stage->policy, stage->catalogue,
                                keys_hash_secret(stage->fixture->keys), stage->fixture->keys,
                                &stage->decide),
                     0);
    assert_int_equal(fold_new(stage->fixture->txn, &stage->fold), 0);
}

void stage_close(struct stage *stage) {
    fold_free(stage->fold);
    decide_free(stage->decide);
    policy_free(stage->policy);
    catalogue_free(stage->catalogue);
}

Touchbus__Event *stage_event(struct stage *stage, const char *type, const char *channel,
                             const char *user, const char *data) {
    char id[24];
    snprintf(id, sizeof(id), "e-%llu", (unsigned long long)stage->sequence + 1);
    Touchbus__Event *event = support_event(stage->arena, type, id, data);
    event->channel = arena_strdup(stage->arena, channel);
    event->has_time = true;
    event->time_us = stage->now_us;
    if (user != NULL) {
        support_identify(stage->arena, event, "user_id", user);
    }
    return event;
}

static struct decide_place place_of(const struct stage *stage) {
    return (struct decide_place){stage->fold, stage->fixture->txn, stage->arena, stage->now_us,
                                 stage->now_us};
}

static void append(struct stage *stage, Touchbus__Event *event) {
    event->sequence = ++stage->sequence;
    event->received_us = stage->now_us;
    assert_int_equal(fold_apply(stage->fold, stage->fixture->txn, event), 0);
}

static void append_caused(struct stage *stage, struct decision *decision) {
    struct decide_place place = place_of(stage);
    stage->n_caused = 0;
    for (size_t i = 0; i < decision->findings.n_follow_ups; i++) {
        Touchbus__Event *own = decision->findings.follow_ups[i];
        append(stage, own);
        assert_int_equal(decide_follow(stage->decide, &place, own, decision), 0);
        stage->caused[stage->n_caused++] = own;
    }
}

static const char *json_text(const struct stage *stage, const void *data, size_t size) {
    json_t *json = NULL;
    if (size == 0) {
        return "";
    }
    assert_int_equal(body_to_json(data, size, &json), 0);
    char *text = json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
    const char *copy = arena_strdup(stage->arena, text);
    free(text);
    json_decref(json);
    return copy;
}

void stage_play(struct stage *stage, Touchbus__Event *event) {
    struct decide_place place = place_of(stage);
    struct decision decision;
    assert_int_equal(decide_event(stage->decide, &place, event, NULL, stage->sequence + 1,
                                  &stage->customers_last, &decision),
                     0);
    assert_int_equal(decision.findings.code, 0);
    append(stage, event);
    assert_int_equal(decide_follow(stage->decide, &place, event, &decision), 0);
    append_caused(stage, &decision);
    const ProtobufCBinaryData *verdict = &decision.findings.verdict;
    stage->verdict = json_text(stage, verdict->data, verdict->len);
}

Touchbus__Event *stage_say(struct stage *stage, const char *type, const char *channel,
                           const char *user, const char *data) {
    Touchbus__Event *event = stage_event(stage, type, channel, user, data);
    stage_play(stage, event);
    return event;
}

void stage_tier(struct stage *stage, const Touchbus__Event *event, const char *tier) {
    Touchbus__Event *changed = stage_event(stage, "standing.changed", "", NULL, NULL);
    Touchbus__Stamp *stamp = arena_alloc(stage->arena, sizeof(*stamp));
    touchbus__stamp__init(stamp);
    stamp->tier = arena_strdup(stage->arena, tier);
    changed->stamp = stamp;
    changed->customer = event->customer;
    append(stage, changed);
}

static int first_due(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    (void)value;
    (void)size;
    assert_true(timer_due_read(key, key_size, user));
    return 1;
}

void stage_due(struct stage *stage) {
    struct timer_due due = {0};
    struct decide_place place = place_of(stage);
    struct decision decision;
    stage->n_caused = 0;
    assert_int_equal(view_scan(stage->fixture->txn, VIEW_DUE, NULL, 0, false, first_due, &due) < 0,
                     0);
    if (due.due_us == 0 || due.due_us > stage->now_us) {
        return;
    }
    assert_int_equal(decide_due(stage->decide, &place, &due, &decision), 0);
    append_caused(stage, &decision);
}

Touchbus__Event *stage_caused(const struct stage *stage, const char *type) {
    for (size_t i = 0; i < stage->n_caused; i++) {
        if (strcmp(stage->caused[i]->type, type) == 0) {
            return stage->caused[i];
        }
    }
    return NULL;
}

const char *stage_data(const struct stage *stage, const Touchbus__Event *event, const char *name) {
    struct body_value value;
    if (event == NULL || !body_find(event->data.data, event->data.len, name, &value)) {
        return "";
    }
    return json_text(stage, value.raw, value.raw_size);
}

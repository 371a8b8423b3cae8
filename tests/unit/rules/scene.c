// SPDX-License-Identifier: Apache-2.0
// See scene.h.
#include "scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/fold/timers.h"
#include "schemas/body.h"

void scene_open(void **state, const char *policy, struct scene *ret) {
    struct fixture *fixture = *state;
    char *error = NULL;
    view_abort(fixture->txn); // each scene starts from nothing
    support_begin(fixture, fixture->view, &fixture->txn);
    *ret = (struct scene){.fixture = fixture, .arena = fixture->arena, .now_us = SCENE_START};
    const char *text = policy == NULL ? "" : policy;
    assert_int_equal(policy_parse(text, strlen(text), "test", &ret->policy, &error), 0);
    assert_int_equal(catalogue_load(NULL, &ret->catalogue, &error), 0);
    assert_int_equal(decide_new(&ret->configuration, ret->policy, ret->catalogue,
                                keys_hash_secret(fixture->keys), fixture->keys, &ret->decide),
                     0);
    assert_int_equal(fold_new(fixture->txn, &ret->fold), 0);
}

void scene_close(struct scene *scene) {
    fold_free(scene->fold);
    decide_free(scene->decide);
    catalogue_free(scene->catalogue);
    policy_free(scene->policy);
}

static struct decide_place place_of(const struct scene *scene) {
    return (struct decide_place){.fold = scene->fold,
                                 .txn = scene->fixture->txn,
                                 .arena = scene->arena,
                                 .now_us = scene->now_us,
                                 .timer_us = scene->now_us};
}

static void append(struct scene *scene, Touchbus__Event *event) {
    event->sequence = ++scene->sequence;
    event->received_us = scene->now_us;
    assert_int_equal(fold_apply(scene->fold, scene->fixture->txn, event), 0);
}

static void append_caused(struct scene *scene, struct decision *decision) {
    struct decide_place place = place_of(scene);
    for (size_t i = 0; i < decision->findings.n_follow_ups; i++) {
        Touchbus__Event *own = decision->findings.follow_ups[i];
        append(scene, own);
        assert_true(scene->n_said < SCENE_SAID_MAX);
        scene->said[scene->n_said++] = own;
        assert_int_equal(decide_follow(scene->decide, &place, own, decision), 0);
    }
}

uint64_t scene_play_event(struct scene *scene, Touchbus__Event *event) {
    struct decide_place place = place_of(scene);
    assert_int_equal(decide_event(scene->decide, &place, event, NULL, scene->sequence + 1,
                                  &scene->customers_last, &scene->decision),
                     0);
    if (scene->decision.findings.code != 0) {
        return 0;
    }
    append(scene, event);
    assert_int_equal(decide_follow(scene->decide, &place, event, &scene->decision), 0);
    append_caused(scene, &scene->decision);
    return event->customer;
}

uint64_t scene_play(struct scene *scene, const char *key, const char *type, const char *data) {
    char id[24];
    snprintf(id, sizeof(id), "e-%llu", (unsigned long long)scene->sequence + 1);
    Touchbus__Event *event = support_event(scene->arena, type, id, data);
    const char *equals = key == NULL ? NULL : strchr(key, '=');
    if (equals != NULL) {
        char *kind = arena_strdup(scene->arena, key);
        kind[equals - key] = '\0';
        support_identify(scene->arena, event, kind, equals + 1);
    }
    return scene_play_event(scene, event);
}

// ---- time

struct first_due {
    int64_t now_us;
    struct timer_due due;
    bool found;
};

static int take_first(void *user, const void *key, size_t key_size, const void *value,
                      size_t size) {
    struct first_due *first = user;
    (void)value, (void)size;
    assert_true(timer_due_read(key, key_size, &first->due));
    first->found = first->due.due_us <= first->now_us;
    return 1;
}

static bool find_due(struct scene *scene, int64_t until_us, struct timer_due *ret) {
    struct first_due first = {.now_us = until_us};
    assert_true(view_scan(scene->fixture->txn, VIEW_DUE, NULL, 0, false, take_first, &first) >= 0);
    *ret = first.due;
    return first.found;
}

void scene_pass(struct scene *scene, int64_t us) {
    int64_t until_us = scene->now_us + us;
    struct timer_due due;
    while (find_due(scene, until_us, &due)) {
        struct decision decision;
        scene->now_us = due.due_us > scene->now_us ? due.due_us : scene->now_us;
        struct decide_place place = place_of(scene);
        assert_int_equal(decide_due(scene->decide, &place, &due, &decision), 0);
        append_caused(scene, &decision);
    }
    scene->now_us = until_us;
}

static int count(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    (void)key, (void)key_size, (void)value, (void)size;
    ++*(size_t *)user;
    return 0;
}

size_t scene_n_due(struct scene *scene) {
    size_t n = 0;
    assert_int_equal(view_scan(scene->fixture->txn, VIEW_DUE, NULL, 0, false, count, &n), 0);
    return n;
}

// ---- what came of it

void scene_erase(struct scene *scene, uint64_t customer) {
    Touchbus__Event *event = support_event(scene->arena, "privacy.changed", "erased", NULL);
    event->customer = customer;
    event->erases = true;
    append(scene, event);
}

void scene_forget(struct scene *scene) {
    scene->n_said = 0;
}

size_t scene_said(const struct scene *scene, const char *type) {
    size_t n = 0;
    for (size_t i = 0; i < scene->n_said; i++) {
        n += strcmp(scene->said[i]->type, type) == 0;
    }
    return n;
}

const Touchbus__Event *scene_last(const struct scene *scene, const char *type) {
    for (size_t i = scene->n_said; i > 0; i--) {
        if (strcmp(scene->said[i - 1]->type, type) == 0) {
            return scene->said[i - 1];
        }
    }
    return NULL;
}

const char *scene_json(const struct scene *scene, const ProtobufCBinaryData *data) {
    json_t *json = NULL;
    assert_int_equal(body_to_json(data->data, data->len, &json), 0);
    char *text = json_dumps(json, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY);
    char *copy = arena_strdup(scene->arena, text);
    free(text);
    json_decref(json);
    return copy;
}

const char *scene_text(const struct scene *scene, const Touchbus__Event *event, const char *name) {
    struct body_value value;
    assert_non_null(event);
    if (!body_find(event->data.data, event->data.len, name, &value) || value.kind != BODY_TEXT) {
        return "";
    }
    return arena_printf(scene->arena, "%.*s", (int)value.text_size, value.text);
}

View__Customer *scene_record(struct scene *scene, uint64_t customer) {
    assert_int_equal(fold_flush(scene->fold, scene->fixture->txn), 0);
    return support_customer(scene->fixture->txn, scene->arena, customer);
}

// SPDX-License-Identifier: Apache-2.0
// See scene.h.
#include "scene.h"

#include <stdio.h>

static uint64_t throws;

void scene_seed(uint64_t seed) {
    throws = seed << 32;
}

uint32_t scene_dice(void) {
    uint64_t z = ++throws * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (uint32_t)(z >> 32);
}

void scene_open(void **state, struct scene *ret) {
    struct fixture *fixture = *state;
    view_abort(fixture->txn);
    support_begin(fixture, fixture->view, &fixture->txn);
    *ret = (struct scene){.fixture = fixture, .arena = fixture->arena, .txn = fixture->txn};
    assert_int_equal(fold_new(ret->txn, &ret->fold), 0);
}

void scene_close(struct scene *scene) {
    fold_free(scene->fold);
}

void scene_apply_nobodys(struct scene *scene, Touchbus__Event *event) {
    event->sequence = ++scene->sequence;
    event->received_us = event->received_us == 0 ? 1000000 : event->received_us;
    assert_int_equal(fold_apply(scene->fold, scene->txn, event), 0);
}

void scene_apply(struct scene *scene, Touchbus__Event *event) {
    event->customer = event->customer == 0 ? 1 : event->customer;
    scene_apply_nobodys(scene, event);
}

void scene_play(struct scene *scene, const char *type, const char *data) {
    char id[24];
    snprintf(id, sizeof(id), "e-%06llu", (unsigned long long)scene->sequence + 1);
    scene_apply(scene, support_event(scene->arena, type, id, data));
}

void scene_erase(struct scene *scene) {
    Touchbus__Event *event = support_event(scene->arena, "privacy.changed", "erased", NULL);
    event->erases = true;
    scene_apply(scene, event);
}

View__Customer *scene_customer(struct scene *scene, uint64_t number) {
    assert_int_equal(fold_flush(scene->fold, scene->txn), 0);
    View__Customer *record = support_customer(scene->txn, scene->arena, number);
    assert_non_null(record);
    return record;
}

View__Person *scene_person(struct scene *scene) {
    scene_customer(scene, 1);
    return support_person(scene->txn, scene->arena, 1);
}

const char *scene_member(struct scene *scene, enum item_kind kind, const char *id,
                         const char *name) {
    const View__Item *item = support_item(scene->txn, scene->arena, 1, kind, id);
    return item == NULL ? NULL : support_member(item, scene->arena, name);
}

static int count_row(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    (void)key, (void)key_size, (void)value, (void)size;
    ++*(unsigned *)user;
    return 0;
}

unsigned scene_count_rows(struct scene *scene, enum view_table table) {
    unsigned n = 0;
    assert_int_equal(view_scan(scene->txn, table, "", 0, false, count_row, &n), 0);
    return n;
}

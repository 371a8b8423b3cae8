// SPDX-License-Identifier: Apache-2.0
// Events of one customer, of every type of the catalogue with data made from its row, in any order
// of arrival: what the fold makes of them is the same. Histories follow from seeds, which are
// printed; of one that fails, what is left after taking out all that can go is shown.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/tick/scene.h"
#include "dump.h"
#include "schemas/base/cleanup.h"
#include "schemas/catalogue.h"

enum {
    HISTORIES = 150,
    HISTORIES_SLOW = 10000,
    ORDERS = 3,  // beside the first one
    EVENTS = 28, // below what the record keeps of the timeline
    TYPES_A_HISTORY = 5,
};
#define SECOND_US INT64_C(1000000)
#define DAY_US (INT64_C(86400) * SECOND_US)

static struct catalogue *catalogue;

// ---- making events

static json_t *pick(const char *const *texts, size_t n) {
    return json_string(texts[scene_dice() % n]);
}

static json_t *lines(void) {
    json_t *list = json_array();
    for (uint32_t i = scene_dice() % 3; i > 0; i--) {
        json_t *line = json_pack("{s:s, s:s}", "sku", scene_dice() % 2 ? "SP-1" : "GL-9", "price",
                                 scene_dice() % 2 ? "34.95" : "4.5");
        json_object_set_new(line, "quantity",
                            scene_dice() % 3 ? json_integer(scene_dice() % 4) : json_real(0.25));
        json_array_append_new(list, line);
    }
    return list;
}

static json_t *value_of(const struct catalogue_field *field) {
    static const char *const texts[] = {"a", "b", "c", "granted", "withdrawn", "open"};
    static const char *const times[] = {"2026-01-01T00:00:00Z", "2026-01-02T09:00:00Z"};
    static const char *const decimals[] = {"1.50", "20", "-3.25"};
    size_t n_values = 0;
    while (field->values != NULL && field->values[n_values] != NULL) {
        n_values++;
    }
    switch (field->type) {
    case FIELD_TEXT:
        return n_values > 0 ? pick(field->values, n_values)
                            : pick(texts, field->reference != NULL ? 2 : 6);
    case FIELD_INTEGER:
        return json_integer(scene_dice() % 3);
    case FIELD_NUMBER:
        return scene_dice() % 2 ? json_integer(scene_dice() % 9) : json_real(2.5);
    case FIELD_DECIMAL:
        return pick(decimals, 3);
    case FIELD_BOOL:
        return json_boolean(scene_dice() % 2);
    case FIELD_TIME:
        return pick(times, 2);
    case FIELD_LIST:
        return json_pack("[s]", scene_dice() % 2 ? "x" : "y");
    case FIELD_MAP:
        return scene_dice() % 4 == 0 ? json_pack("{s:n}", "city")
                                     : json_pack("{s:i, s:s}", "age", (int)(scene_dice() % 3),
                                                 "city", scene_dice() % 2 ? "Utrecht" : "");
    case FIELD_LINES:
        return lines();
    case FIELD_ANY:
        break;
    }
    return scene_dice() % 2 ? json_integer(scene_dice() % 3) : json_string("any");
}

static json_t *data_of(const struct catalogue_type *type) {
    json_t *data = json_object();
    for (size_t i = 0; i < type->n_fields; i++) {
        if (type->fields[i].required || scene_dice() % 2) {
            json_object_set_new(data, type->fields[i].name, value_of(&type->fields[i]));
        }
    }
    return data;
}

// Ties in rank, time and, now and then, in the id of two sources.
static Touchbus__Event *event_of(struct arena *arena, const struct catalogue_type *type,
                                 unsigned number) {
    static const char *const channels[] = {"web", "phone", ""};
    json_t *json = data_of(type);
    char *data = json_dumps(json, JSON_COMPACT);
    const char *id = scene_dice() % 12 == 0 ? "same" : arena_printf(arena, "e-%u", number);
    Touchbus__Event *event = support_event(arena, type->name, id, data);
    free(data);
    json_decref(json);
    event->channel = arena_strdup(arena, channels[scene_dice() % 3]);
    event->rank = scene_dice() % 3;
    event->has_time = true;
    event->time_us = scene_dice() % 4 * SECOND_US + scene_dice() % 3 * DAY_US;
    event->received_us = 9 * DAY_US;
    event->customer = scene_dice() % 8 != 0;
    return event;
}

// A few types, so that events meet.
static void make_history(struct arena *arena, uint64_t seed, Touchbus__Event **ret) {
    size_t n_rows;
    const struct catalogue_type *rows = catalogue_rows(catalogue, &n_rows);
    const struct catalogue_type *types[TYPES_A_HISTORY];
    scene_seed(seed);
    size_t first = (size_t)(seed % n_rows); // every type has its turn
    for (size_t i = 0; i < TYPES_A_HISTORY; i++) {
        types[i] = &rows[i == 0 ? first : scene_dice() % n_rows];
    }
    for (unsigned i = 0; i < EVENTS; i++) {
        ret[i] = event_of(arena, types[scene_dice() % TYPES_A_HISTORY], i);
    }
}

// ---- playing them

static json_t *play(void **state, Touchbus__Event *const *events, size_t n) {
    struct scene scene;
    scene_open(state, &scene);
    for (size_t i = 0; i < n; i++) {
        events[i]->sequence = ++scene.sequence;
        assert_int_equal(fold_apply(scene.fold, scene.txn, events[i]), 0);
    }
    assert_int_equal(fold_flush(scene.fold, scene.txn), 0);
    json_t *json = dump_customer(scene.fold, scene.txn, scene.arena, 1);
    scene_close(&scene);
    return json;
}

static void shuffle(Touchbus__Event **events, size_t n) {
    for (size_t i = n; i-- > 1;) {
        size_t k = scene_dice() % (i + 1);
        Touchbus__Event *other = events[i];
        events[i] = events[k];
        events[k] = other;
    }
}

static bool differ(void **state, Touchbus__Event *const *one, Touchbus__Event *const *other,
                   size_t n) {
    json_t *left = play(state, one, n), *right = play(state, other, n);
    bool differs = !json_equal(left, right);
    json_decref(left);
    json_decref(right);
    return differs;
}

static size_t take_out(Touchbus__Event **events, size_t n, const Touchbus__Event *gone) {
    size_t n_kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (events[i] != gone) {
            events[n_kept++] = events[i];
        }
    }
    return n_kept;
}

static void show(const char *title, json_t *json) {
    char *text = json_dumps(json, JSON_INDENT(2) | JSON_SORT_KEYS);
    print_message("%s\n%s\n", title, text);
    free(text);
    json_decref(json);
}

// Takes out every event without which the two orders still differ, and shows what is left.
static void shrink_and_show(void **state, Touchbus__Event **one, Touchbus__Event **other) {
    size_t n = EVENTS;
    for (size_t i = 0; i < n;) {
        Touchbus__Event *less[EVENTS], *less_other[EVENTS];
        memcpy(less, one, n * sizeof(*less));
        memcpy(less_other, other, n * sizeof(*less_other));
        Touchbus__Event *gone = one[i];
        take_out(less, n, gone);
        take_out(less_other, n, gone);
        if (differ(state, less, less_other, n - 1)) {
            n--;
            memcpy(one, less, n * sizeof(*less));
            memcpy(other, less_other, n * sizeof(*less_other));
        } else {
            i++;
        }
    }
    for (size_t i = 0; i < n; i++) {
        print_message("%s id=%s time=%lld rank=%u\n", one[i]->type, one[i]->id,
                      (long long)one[i]->time_us, one[i]->rank);
    }
    show("in one order:", play(state, one, n));
    show("in the other:", play(state, other, n));
}

static void test_what_a_customer_is_does_not_depend_on_the_order_of_arrival(void **state) {
    struct fixture *fixture = *state;
    const char *one = getenv("TOUCHBUS_SEED");
    uint64_t first = one != NULL ? strtoull(one, NULL, 10) : 1;
    uint64_t n = one != NULL ? 1 : getenv("TOUCHBUS_SLOW") != NULL ? HISTORIES_SLOW : HISTORIES;
    print_message("seeds %llu to %llu\n", (unsigned long long)first,
                  (unsigned long long)(first + n - 1));
    for (uint64_t seed = first; seed < first + n; seed++) {
        Touchbus__Event *events[EVENTS], *shuffled[EVENTS];
        arena_reset(fixture->arena);
        make_history(fixture->arena, seed, events);
        for (int order = 0; order < ORDERS; order++) {
            memcpy(shuffled, events, sizeof(shuffled));
            shuffle(shuffled, EVENTS);
            if (differ(state, events, shuffled, EVENTS)) {
                print_message("TOUCHBUS_SEED=%llu\n", (unsigned long long)seed);
                shrink_and_show(state, events, shuffled);
                fail_msg("the order of arrival decided");
            }
        }
    }
}

static int set_up(void **state) {
    char *error = NULL;
    return catalogue_load(NULL, &catalogue, &error) != 0 ? -1 : support_setup(state);
}

static int tear_down(void **state) {
    catalogue = catalogue_free(catalogue);
    return support_teardown(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_customer_is_does_not_depend_on_the_order_of_arrival),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

// SPDX-License-Identifier: Apache-2.0
// See contact_house.h.
#include "contact_house.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/base/clock.h"
#include "schemas/body.h"
#include "schemas/catalogue.h"

void house_open(void **state, const char *policy, struct house *ret) {
    *ret = (struct house){.fixture = *state};
    char *error = NULL;
    view_abort(ret->fixture->txn);
    support_begin(ret->fixture, ret->fixture->view, &ret->fixture->txn);
    const char *text = policy != NULL ? policy : "{}\n";
    if (policy_parse(text, strlen(text), "test", &ret->policy, &error) != 0) {
        fail_msg("%s", error);
    }
    assert_int_equal(catalogue_load(NULL, &ret->catalogue, &error), 0);
    assert_int_equal(decide_new(&ret->configuration, ret->policy, ret->catalogue,
                                keys_hash_secret(ret->fixture->keys), ret->fixture->keys,
                                &ret->decide),
                     0);
    assert_int_equal(fold_new(ret->fixture->txn, &ret->fold), 0);
    house_set_time(ret, HOUSE_NOON);
}

void house_close(struct house *house) {
    json_decref(house->verdict);
    json_decref(house->decided);
    fold_free(house->fold);
    decide_free(house->decide);
    catalogue_free(house->catalogue);
    policy_free(house->policy);
}

void house_set_time(struct house *house, const char *rfc3339) {
    assert_int_equal(clock_parse_rfc3339(rfc3339, &house->now_us), 0);
}

static struct decide_place place_of(struct house *house) {
    return (struct decide_place){house->fold, house->fixture->txn, house->fixture->arena,
                                 house->now_us, house->now_us};
}

static void note(struct house *house, const Touchbus__Event *event) {
    if (strcmp(event->type, "contact.decided") == 0) {
        json_decref(house->decided);
        assert_int_equal(body_to_json(event->data.data, event->data.len, &house->decided), 0);
    }
    for (size_t i = 0; event->stamp != NULL && i < event->stamp->n_timers; i++) {
        house->due_us = event->stamp->timers[i]->due_us;
        memcpy(house->due_id, event->stamp->timers[i]->id.data, sizeof(house->due_id));
    }
}

static void fold(struct house *house, Touchbus__Event *event) {
    event->sequence = ++house->sequence;
    event->received_us = house->now_us;
    assert_int_equal(fold_apply(house->fold, house->fixture->txn, event), 0);
    note(house, event);
}

static void follow(struct house *house, struct decision *decision) {
    struct decide_place place = place_of(house);
    for (size_t i = 0; i < decision->findings.n_follow_ups; i++) {
        fold(house, decision->findings.follow_ups[i]);
        assert_int_equal(
            decide_follow(house->decide, &place, decision->findings.follow_ups[i], decision), 0);
    }
    if (decision->findings.verdict.len > 0) {
        json_decref(house->verdict);
        assert_int_equal(body_to_json(decision->findings.verdict.data,
                                      decision->findings.verdict.len, &house->verdict),
                         0);
    }
    assert_int_equal(fold_flush(house->fold, house->fixture->txn), 0);
}

void house_publish(struct house *house, Touchbus__Event *event) {
    struct decide_place place = place_of(house);
    struct decision decision;
    assert_int_equal(decide_event(house->decide, &place, event, NULL, house->sequence + 1,
                                  &house->customers_last, &decision),
                     0);
    assert_int_equal(decision.findings.code, 0);
    house->last_customer = event->customer;
    fold(house, event);
    assert_int_equal(decide_follow(house->decide, &place, event, &decision), 0);
    follow(house, &decision);
}

static Touchbus__Event *make(struct house *house, const char *identity, const char *type,
                             const char *data) {
    struct arena *arena = house->fixture->arena;
    char *id = arena_printf(arena, "e-%llu", (unsigned long long)house->sequence + 1);
    Touchbus__Event *event = support_event(arena, type, id, data);
    char *kind = identity == NULL ? NULL : arena_strdup(arena, identity);
    char *equals = kind == NULL ? NULL : strchr(kind, '=');
    if (equals != NULL) {
        *equals = '\0';
        support_identify(arena, event, kind, equals + 1);
    }
    return event;
}

void house_say(struct house *house, const char *identity, const char *type, const char *data) {
    house_publish(house, make(house, identity, type, data));
}

const char *house_ask(struct house *house, const char *identity, const char *data) {
    json_decref(house->verdict);
    house->verdict = NULL;
    house_say(house, identity, "contact.requested", data);
    assert_non_null(house->verdict);
    return json_string_value(json_object_get(house->verdict, "verdict"));
}

void house_due(struct house *house) {
    struct decide_place place = place_of(house);
    struct decision decision;
    struct timer_due due = {
        .due_us = house->due_us, .customer = house->last_customer, .kind = TIMER_CONTACT};
    memcpy(due.id, house->due_id, sizeof(due.id));
    assert_int_equal(decide_due(house->decide, &place, &due, &decision), 0);
    follow(house, &decision);
}

bool house_has_reason(const struct house *house, const char *code) {
    size_t i;
    json_t *reason;
    json_array_foreach(json_object_get(house->verdict, "reasons"), i, reason) {
        if (strcmp(json_string_value(reason), code) == 0) {
            return true;
        }
    }
    return false;
}

bool house_decided_by(const struct house *house, uint64_t sequence) {
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(house->verdict, "decided_by"), i, one) {
        if ((uint64_t)json_integer_value(one) == sequence) {
            return true;
        }
    }
    return false;
}

// ---- merged customers

static void put_record(struct house *house, uint64_t number, const View__Customer *record) {
    size_t size = view__customer__get_packed_size(record);
    uint8_t *bytes = arena_alloc(house->fixture->arena, size);
    uint64_t key = htobe64(number);
    view__customer__pack(record, bytes);
    assert_int_equal(view_put(house->fixture->txn, VIEW_CUSTOMERS, &key, sizeof(key), bytes, size),
                     0);
}

void house_merge(struct house *house, uint64_t from, uint64_t into) {
    struct arena *arena = house->fixture->arena;
    View__Customer *part = support_customer(house->fixture->txn, arena, from);
    View__Customer *whole = support_customer(house->fixture->txn, arena, into);
    part->into = into;
    whole->leaves = arena_copy(arena, &from, sizeof(from));
    whole->n_leaves = 1;
    put_record(house, from, part);
    put_record(house, into, whole);
    fold_free(house->fold); // which has not seen it
    assert_int_equal(fold_new(house->fixture->txn, &house->fold), 0);
}

void house_split(struct house *house, uint64_t leaf) {
    Touchbus__Event *event = make(house, NULL, "identity.changed", NULL);
    Touchbus__Stamp stamp;
    touchbus__stamp__init(&stamp);
    stamp.split = leaf;
    event->stamp = &stamp;
    event->customer = leaf;
    fold(house, event);
    assert_int_equal(fold_flush(house->fold, house->fixture->txn), 0);
    View__Customer *part = support_customer(house->fixture->txn, house->fixture->arena, leaf);
    uint64_t into = part->into;
    if (into != 0) { // nobody has cut it yet
        View__Customer *whole = support_customer(house->fixture->txn, house->fixture->arena, into);
        part->into = 0;
        whole->n_leaves = 0;
        put_record(house, leaf, part);
        put_record(house, into, whole);
        fold_free(house->fold); // which has not seen it
        assert_int_equal(fold_new(house->fixture->txn, &house->fold), 0);
    }
}

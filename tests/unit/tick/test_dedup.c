// SPDX-License-Identifier: Apache-2.0
// The window of known ids is bounded, keeps at least its half, and hashes what matters.
#include "support.h"

#include <sodium.h>
#include <string.h>

#include "broker/tick/dedup.h"

static const uint8_t secret[16] = "sixteen bytes !";

static void hash_of(uint64_t number, uint8_t ret[static BLOCK_ID_HASH_BYTES]) {
    crypto_shorthash_siphashx24(ret, (const uint8_t *)&number, sizeof(number), secret);
}

static void test_finds_what_was_added_and_nothing_else(void **state) {
    (void)state;
    struct dedup *dedup = dedup_new(1000);
    uint8_t hash[BLOCK_ID_HASH_BYTES];
    uint64_t sequence = 0;
    for (uint64_t i = 1; i <= 500; i++) {
        hash_of(i, hash);
        dedup_add(dedup, hash, i);
    }
    for (uint64_t i = 1; i <= 500; i++) {
        hash_of(i, hash);
        assert_true(dedup_find(dedup, hash, &sequence));
        assert_int_equal(sequence, i);
        hash_of(i + 500, hash);
        assert_false(dedup_find(dedup, hash, &sequence));
    }
    dedup_free(dedup);
}

static void test_knows_between_half_and_all_of_the_bound(void **state) {
    (void)state;
    const uint64_t EVENTS = 1000;
    struct dedup *dedup = dedup_new(EVENTS);
    uint8_t hash[BLOCK_ID_HASH_BYTES];
    uint64_t sequence = 0;
    for (uint64_t i = 1; i <= 10 * EVENTS; i++) {
        hash_of(i, hash);
        dedup_add(dedup, hash, i);
        uint64_t n_known = 0;
        for (uint64_t k = i > 2 * EVENTS ? i - 2 * EVENTS : 1; i % 97 == 0 && k <= i; k++) {
            hash_of(k, hash);
            bool known = dedup_find(dedup, hash, &sequence);
            n_known += known;
            assert_true(known || k + EVENTS / 2 <= i);
        }
        assert_true(n_known <= EVENTS);
    }
    dedup_free(dedup);
}

static void test_the_later_sequence_wins(void **state) {
    (void)state;
    struct dedup *dedup = dedup_new(10);
    uint8_t hash[BLOCK_ID_HASH_BYTES];
    uint64_t sequence = 0;
    hash_of(7, hash);
    dedup_add(dedup, hash, 1);
    for (uint64_t i = 2; i < 7; i++) { // pushes 1 into the old table
        uint8_t other[BLOCK_ID_HASH_BYTES];
        hash_of(100 + i, other);
        dedup_add(dedup, other, i);
    }
    dedup_add(dedup, hash, 9);
    assert_true(dedup_find(dedup, hash, &sequence));
    assert_int_equal(sequence, 9);
    dedup_free(dedup);
}

static void test_memory_is_what_the_help_says(void **state) {
    (void)state;
    assert_true(dedup_bytes(3000000) <= UINT64_C(64) << 20);
    assert_true(dedup_bytes(3000000) / 3000000 <= 22);
}

static uint64_t body(struct arena *arena, const Touchbus__Event *event) {
    uint64_t hash = 0;
    assert_int_equal(dedup_hash_body(secret, event, arena, &hash), 0);
    return hash;
}

static void test_the_body_is_what_the_client_sent_but_its_transport(void **state) {
    struct fixture *fixture = *state;
    struct arena *arena = fixture->arena;
    Touchbus__Event *event = support_event(arena, "page.viewed", "1", "{\"url\": \"/\"}");
    support_identify(arena, event, "email", "ana@klant.example");
    uint64_t hash = body(arena, event);
    event->time_us = 17;
    event->has_time = true;
    event->traceparent = arena_strdup(arena, "00-1-1-01");
    assert_true(body(arena, event) == hash);
    event->identities[0]->verified = true;
    assert_true(body(arena, event) != hash);
    event->identities[0]->verified = false;
    event->subject = arena_strdup(arena, "s");
    assert_true(body(arena, event) != hash);
    event->subject = arena_strdup(arena, "");
    event->data.len--;
    assert_true(body(arena, event) != hash);
}

static void test_fields_do_not_run_into_each_other(void **state) {
    struct fixture *fixture = *state;
    struct arena *arena = fixture->arena;
    Touchbus__Event *one = support_event(arena, "page.viewed", "1", NULL);
    Touchbus__Event *two = support_event(arena, "page.viewed", "1", NULL);
    one->subject = arena_strdup(arena, "ab");
    one->actor = arena_strdup(arena, "c");
    two->subject = arena_strdup(arena, "a");
    two->actor = arena_strdup(arena, "bc");
    assert_true(body(arena, one) != body(arena, two));
    uint8_t a[BLOCK_ID_HASH_BYTES], b[BLOCK_ID_HASH_BYTES];
    one->source = arena_strdup(arena, "/ab");
    one->id = arena_strdup(arena, "c");
    two->source = arena_strdup(arena, "/a");
    two->id = arena_strdup(arena, "bc");
    dedup_hash_id(secret, one, a);
    dedup_hash_id(secret, two, b);
    assert_memory_not_equal(a, b, sizeof(a));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_what_was_added_and_nothing_else),
        cmocka_unit_test(test_knows_between_half_and_all_of_the_bound),
        cmocka_unit_test(test_the_later_sequence_wins),
        cmocka_unit_test(test_memory_is_what_the_help_says),
        cmocka_unit_test(test_the_body_is_what_the_client_sent_but_its_transport),
        cmocka_unit_test(test_fields_do_not_run_into_each_other),
    };
    return cmocka_run_group_tests(tests, support_setup, support_teardown);
}

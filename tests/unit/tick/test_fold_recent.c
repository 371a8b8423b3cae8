// SPDX-License-Identifier: Apache-2.0
// The last interactions are packed as protobuf-c packs their differences, whatever was added,
// spilled and read back in between: a plain list and the generated messages are the measure.
#include <errno.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/fold/fold_recent.h"
#include "scene.h"

enum { ARENA_BYTES_MAX = 64 << 20, STEPS = 4000, ROW_BYTES_MAX = 8192 };

// What the record ought to have.
struct plain {
    uint64_t sequence[TIMELINE_RECENT_MAX];
    int64_t time_us[TIMELINE_RECENT_MAX];
    uint32_t type[TIMELINE_RECENT_MAX], channel[TIMELINE_RECENT_MAX];
    size_t n;
    uint64_t last; // sequence, ever
};

// Each to the one before, the oldest one's 0.
struct differences {
    uint64_t sequence[TIMELINE_RECENT_MAX];
    int64_t time_us[TIMELINE_RECENT_MAX];
};

static struct differences differences_of(const struct plain *plain) {
    struct differences made = {.sequence = {0}};
    for (size_t i = 1; i < plain->n; i++) {
        made.sequence[i] = plain->sequence[i] - plain->sequence[i - 1];
        made.time_us[i] = (int64_t)((uint64_t)plain->time_us[i] - (uint64_t)plain->time_us[i - 1]);
    }
    return made;
}

static uint64_t draw(void) {
    uint64_t number = (uint64_t)scene_dice() << 32 | scene_dice();
    return number >> scene_dice() % 64;
}

static void add(struct plain *plain, struct arena *arena, struct fold_recent **recent) {
    size_t n = plain->n++;
    plain->sequence[n] = plain->last += 1 + (draw() >> 13); // STEPS of them are below 2^64
    plain->time_us[n] = (int64_t)draw() * (scene_dice() % 2 == 0 ? 1 : -1);
    plain->type[n] = (uint32_t)draw();
    plain->channel[n] = (uint32_t)draw();
    struct fold_interaction interaction = {plain->sequence[n], plain->time_us[n], plain->type[n],
                                           plain->channel[n]};
    assert_int_equal(fold_recent_add(arena, recent, &interaction), 0);
    assert_int_equal(fold_recent_add(arena, recent, &interaction), -EBADMSG); // not beyond itself
}

static void check_read(const struct plain *plain, const struct fold_interaction *read, size_t n) {
    assert_int_equal(n, plain->n);
    for (size_t i = 0; i < plain->n; i++) {
        assert_true(read[i].sequence == plain->sequence[i]);
        assert_true(read[i].time_us == plain->time_us[i]);
        assert_int_equal(read[i].type, plain->type[i]);
        assert_int_equal(read[i].channel, plain->channel[i]);
    }
}

static void spill(struct plain *plain, struct fold_recent *recent, size_t cut) {
    View__Run run;
    uint8_t wanted[ROW_BYTES_MAX], packed[ROW_BYTES_MAX];
    struct differences differences = differences_of(plain);
    struct fold_interaction read[TIMELINE_RECENT_MAX];
    struct plain oldest = *plain;
    size_t size, n;
    view__run__init(&run);
    run.n_sequence_delta = run.n_time_delta_us = run.n_type = run.n_channel = cut;
    run.sequence_delta = differences.sequence;
    run.time_delta_us = differences.time_us;
    run.type = plain->type;
    run.channel = plain->channel;
    run.last_sequence = plain->sequence[cut - 1];
    run.last_us = plain->time_us[cut - 1];
    oldest.n = cut;
    assert_int_equal(interactions_of_run(&run, read, &n), 0);
    check_read(&oldest, read, n);
    assert_true(fold_recent_first(recent) == plain->sequence[0]);
    assert_int_equal(fold_recent_spill(recent, cut, packed, sizeof(packed), &size), 0);
    assert_int_equal(size, view__run__pack(&run, wanted));
    assert_memory_equal(packed, wanted, size);
    plain->n -= cut;
    memmove(plain->sequence, plain->sequence + cut, plain->n * sizeof(plain->sequence[0]));
    memmove(plain->time_us, plain->time_us + cut, plain->n * sizeof(plain->time_us[0]));
    memmove(plain->type, plain->type + cut, plain->n * sizeof(plain->type[0]));
    memmove(plain->channel, plain->channel + cut, plain->n * sizeof(plain->channel[0]));
}

// A row with other fields before and behind, or without.
static size_t pack_row(struct plain *plain, unsigned around, uint8_t *ret) {
    View__Customer record;
    struct differences differences = differences_of(plain);
    struct fold_interaction read[TIMELINE_RECENT_MAX];
    size_t n;
    view__customer__init(&record);
    record.events = around & 1 ? UINT64_MAX : 0;
    record.dropped = around & 2 ? 300 : 0;
    record.n_recent_sequence_delta = record.n_recent_time_delta_us = record.n_recent_type =
        record.n_recent_channel = plain->n;
    record.recent_sequence_delta = differences.sequence;
    record.recent_time_delta_us = differences.time_us;
    record.recent_type = plain->type;
    record.recent_channel = plain->channel;
    record.recent_last_sequence = plain->n == 0 ? 0 : plain->sequence[plain->n - 1];
    record.recent_last_us = plain->n == 0 ? 0 : plain->time_us[plain->n - 1];
    assert_int_equal(interactions_of_record(&record, read, &n), 0);
    check_read(plain, read, n);
    return view__customer__pack(&record, ret);
}

static void check_packed(const struct fold_recent *recent, const uint8_t *row, size_t begin,
                         size_t end) {
    uint8_t room[ROW_BYTES_MAX + 1];
    memset(room, '-', sizeof(room));
    uint8_t *to = room + ROW_BYTES_MAX;
    const uint8_t *packed = fold_recent_pack(recent, room, to);
    assert_non_null(packed);
    assert_int_equal(to - packed, end - begin);
    assert_memory_equal(packed, row + begin, end - begin);
    assert_int_equal(*to, '-');
    if (begin < end) {
        assert_null(fold_recent_pack(recent, to - (end - begin) + 1, to));
    }
}

static void check_unpacked(const struct plain *plain, const struct fold_recent *recent) {
    struct fold_interaction read[TIMELINE_RECENT_MAX];
    check_read(plain, read, fold_recent_read(recent, read, TIMELINE_RECENT_MAX));
}

// At 130,000 events a second over 100,000 customers a customer's next one comes 0.8 s and 100,000
// sequences later: 3 bytes each, where the numbers themselves take 4 and 8.
static void test_an_interaction_soon_after_another_takes_eight_bytes(void **state) {
    (void)state;
    struct arena *arena = arena_new(ARENA_BYTES_MAX);
    struct fold_recent *recent = NULL;
    struct fold_interaction one = {150000000, INT64_C(1767225600000000), 9, 1};
    for (int i = 0; i < TIMELINE_RECENT_MAX; i++) {
        assert_int_equal(fold_recent_add(arena, &recent, &one), 0);
        one.sequence += 100000;
        one.time_us += 800000;
    }
    assert_int_equal(fold_recent_bytes(recent), 4 + (TIMELINE_RECENT_MAX - 1) * 8);
    arena_free(arena);
}

static void test_packed_ones_are_what_protobuf_c_makes_of_decoded_ones(void **state) {
    (void)state;
    struct plain plain = {.n = 0};
    struct arena *arena = arena_new(ARENA_BYTES_MAX);
    struct fold_recent *recent = NULL;
    scene_seed(7);
    for (int i = 0; i < STEPS; i++) {
        if (plain.n == TIMELINE_RECENT_MAX || (plain.n > 0 && scene_dice() % 32 == 0)) {
            spill(&plain, recent, 1 + scene_dice() % plain.n);
        } else {
            add(&plain, arena, &recent);
        }
        uint8_t row[ROW_BYTES_MAX];
        size_t size = pack_row(&plain, scene_dice() % 4, row), begin, end;
        struct fold_recent *loaded = NULL;
        assert_int_equal(fold_recent_load(arena, row, size, &loaded, &begin, &end), 0);
        check_packed(recent, row, begin, end);
        check_packed(loaded, row, begin, end);
        check_unpacked(&plain, recent);
        check_unpacked(&plain, loaded);
        recent = scene_dice() % 4 == 0 ? loaded : recent;
    }
    arena_free(arena);
}

#define ROW(text) (const uint8_t *)(text), sizeof(text) - 1
#define SEQUENCES "\xa2\x01\x02\x00\x05" // the second one five behind the first
#define TIMES "\xaa\x01\x02\x00\x07"
#define TYPES "\xb2\x01\x02\x03\x03"
#define CHANNELS "\xba\x01\x02\x04\x04"
#define LAST "\xc0\x01\x06\xc8\x01\x09" // 6, and -5 us
#define HUGE_DELTA "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"

static int load(struct arena *arena, const uint8_t *row, size_t size) {
    struct fold_recent *recent;
    size_t begin, end;
    return fold_recent_load(arena, row, size, &recent, &begin, &end);
}

static int read_back(struct arena *arena, const uint8_t *row, size_t size) {
    struct fold_interaction read[TIMELINE_RECENT_MAX];
    size_t n;
    const View__Customer *record = view__customer__unpack(arena_allocator(arena), size, row);
    return record == NULL ? -EBADMSG : interactions_of_record(record, read, &n);
}

static void test_a_row_whose_columns_disagree_is_refused(void **state) {
    (void)state;
    static const struct {
        const uint8_t *bytes;
        size_t size;
    } rows[] = {
        {ROW("\xa2\x01\x01\x00" LAST)},                               // one of four
        {ROW(SEQUENCES TIMES TYPES "\xba\x01\x03\x04\x04\x05" LAST)}, // one too many
        {ROW(SEQUENCES "\xaa\x01\x03\x00\x07\x07" TYPES CHANNELS LAST)},
        {ROW(SEQUENCES TIMES TYPES "\xba\x01\x03\x04\x04\x85" LAST)}, // cut off
        {ROW("\xa2\x01\x05\x01")},                                    // behind the end
        {ROW("\xa0\x01\x01")},                                        // not a column
        {ROW("\xa2")},
        {ROW("\x1d\x01\x02\x03\x04")}, // a wire type that is not the fold's
        {ROW(SEQUENCES TIMES TYPES CHANNELS "\xc2\x01\x01\x06\xc8\x01\x09")}, // not a number
    };
    struct arena *arena = arena_new(ARENA_BYTES_MAX);
    assert_int_equal(load(arena, ROW(SEQUENCES TIMES TYPES CHANNELS LAST)), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(load(arena, rows[i].bytes, rows[i].size), -EBADMSG);
    }
    // Who reads the generated message sees what is one, too.
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(read_back(arena, rows[i].bytes, rows[i].size), -EBADMSG);
    }
    arena_free(arena);
}

static void test_a_row_whose_sequences_do_not_ascend_to_the_last_is_refused(void **state) {
    (void)state;
    static const struct {
        const uint8_t *bytes;
        size_t size;
    } rows[] = {
        {ROW(SEQUENCES TIMES TYPES CHANNELS)},                            // no last one
        {ROW(SEQUENCES TIMES TYPES CHANNELS "\xc0\x01\x05\xc8\x01\x09")}, // the first is 0
        {ROW("\xa2\x01\x02\x00\x00" TIMES TYPES CHANNELS LAST)},          // twice the same
        {ROW("\xa2\x01\x02\x01\x04" TIMES TYPES CHANNELS LAST)},          // behind nothing
        {ROW(SEQUENCES "\xaa\x01\x02\x02\x07" TYPES CHANNELS LAST)},      // the same
        {ROW("\xa2\x01\x0c\x00\x85\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00" TIMES TYPES CHANNELS
                 LAST)},                                                  // no number of 64 bits
        {ROW("\xa2\x01\x0b\x00" HUGE_DELTA TIMES TYPES CHANNELS LAST)},   // below 0
        {ROW("\xa2\x01\x0c\x00" HUGE_DELTA "\x06\xaa\x01\x03\x00\x07\x07" // 2^64 + 5
             "\xb2\x01\x03\x03\x03\x03\xba\x01\x03\x04\x04\x04" LAST)},
    };
    struct arena *arena = arena_new(ARENA_BYTES_MAX);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(load(arena, rows[i].bytes, rows[i].size), -EBADMSG);
        assert_int_equal(read_back(arena, rows[i].bytes, rows[i].size), -EBADMSG);
    }
    assert_int_equal(load(arena, ROW(LAST)), -EBADMSG); // of nothing
    arena_free(arena);
}

static void test_more_than_a_record_has_are_refused(void **state) {
    (void)state;
    enum { MANY = TIMELINE_RECENT_MAX + 1 };
    uint64_t sequences[MANY] = {0};
    int64_t times_us[MANY] = {0};
    uint32_t names[MANY] = {0};
    struct fold_interaction read[TIMELINE_RECENT_MAX];
    size_t n;
    View__Run run;
    view__run__init(&run);
    for (size_t i = 1; i < MANY; i++) {
        sequences[i] = 1;
    }
    run.sequence_delta = sequences;
    run.time_delta_us = times_us;
    run.type = run.channel = names;
    run.last_sequence = MANY;
    run.n_sequence_delta = run.n_time_delta_us = run.n_type = run.n_channel = MANY - 1;
    assert_int_equal(interactions_of_run(&run, read, &n), 0);
    assert_int_equal(n, MANY - 1);
    run.n_sequence_delta = run.n_time_delta_us = run.n_type = run.n_channel = MANY;
    assert_int_equal(interactions_of_run(&run, read, &n), -EBADMSG);
}

static void test_an_old_row_whose_sequences_do_not_ascend_is_refused(void **state) {
    (void)state;
    uint64_t sequences[][3] = {{4, 9, 9}, {4, 3, 9}}, last;
    int64_t times_us[3] = {0}, last_us;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(interactions_by_difference(sequences[i], times_us, 3, &last, &last_us),
                         -EBADMSG);
    }
}

// ---- in the fold

static int check_row(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    struct scene *scene = user;
    (void)key, (void)key_size;
    View__Customer *record = view__customer__unpack(arena_allocator(scene->arena), size, value);
    assert_non_null(record);
    uint8_t *packed = arena_alloc(scene->arena, size);
    assert_int_equal(view__customer__get_packed_size(record), size);
    view__customer__pack(record, packed);
    assert_memory_equal(packed, value, size);
    return 0;
}

// Some stay kept over flushes, some are read again; each flush is compared whole.
static void play_and_check(void **state, bool reloads) {
    struct scene scene;
    scene_open(state, &scene);
    scene_seed(11);
    for (int i = 0; i < 1500; i++) {
        static const char *const types[] = {"page.viewed", "need.selected", "order.placed",
                                            "acme.other"};
        Touchbus__Event *event = support_event(
            scene.arena, types[scene_dice() % 4], arena_printf(scene.arena, "e-%d", i),
            arena_printf(scene.arena, "{\"term\": \"t%u\", \"order_id\": \"o%u\"}",
                         scene_dice() % 9, scene_dice() % 5));
        event->customer = 1 + scene_dice() % 5;
        event->has_time = scene_dice() % 2 == 0;
        event->time_us = (int64_t)(draw() >> 4);
        event->channel = arena_strdup(scene.arena, scene_dice() % 2 == 0 ? "web" : "");
        scene_apply(&scene, event);
        if (i % 50 == 0) {
            assert_int_equal(fold_flush(scene.fold, scene.txn), 0);
            assert_int_equal(view_scan(scene.txn, VIEW_CUSTOMERS, "", 0, false, check_row, &scene),
                             0);
        }
        if (reloads && i % 70 == 0) {
            assert_int_equal(fold_flush(scene.fold, scene.txn), 0);
            fold_free(scene.fold);
            assert_int_equal(fold_new(scene.txn, &scene.fold), 0);
        }
    }
    assert_int_equal(fold_flush(scene.fold, scene.txn), 0);
    char *hash = arena_alloc(scene.arena, 65);
    assert_int_equal(view_hash(scene.txn, hash), 0);
    static char hashes[2][65];
    memcpy(hashes[reloads], hash, 65);
    if (reloads) {
        assert_string_equal(hashes[0], hashes[1]);
    }
    scene_close(&scene);
}

static void
test_rows_are_canonical_and_the_same_whether_records_stay_or_are_read_again(void **state) {
    play_and_check(state, false);
    play_and_check(state, true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packed_ones_are_what_protobuf_c_makes_of_decoded_ones),
        cmocka_unit_test(test_an_interaction_soon_after_another_takes_eight_bytes),
        cmocka_unit_test(test_a_row_whose_columns_disagree_is_refused),
        cmocka_unit_test(test_a_row_whose_sequences_do_not_ascend_to_the_last_is_refused),
        cmocka_unit_test(test_more_than_a_record_has_are_refused),
        cmocka_unit_test(test_an_old_row_whose_sequences_do_not_ascend_is_refused),
        cmocka_unit_test_setup_teardown(
            test_rows_are_canonical_and_the_same_whether_records_stay_or_are_read_again,
            support_setup, support_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

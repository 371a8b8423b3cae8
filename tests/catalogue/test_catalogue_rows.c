// SPDX-License-Identifier: Apache-2.0
// Every row of the catalogue has files in rows/: a history, one event of the row, and the customer
// before and after it. Each history ends the same when the event comes first and the rest backwards
// (the out-of-order twin); and with any one row of the fold's tables left out, a file of the type
// notices. `test_catalogue_rows FILE` prints what a file's before and after would be.
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/tick/scene.h"
#include "broker/fold/fold_internal.h"
#include "dump.h"
#include "schemas/base/cleanup.h"
#include "schemas/catalogue.h"

enum { FILES_MAX = 256, EVENTS_MAX = 16, PATH_BYTES_MAX = 512, ROWS_MAX = 16 };
#define RECEIVED_US (INT64_C(200000000) * 1000000) // of all of them: later than any time in a file
#define SECOND_US INT64_C(1000000)

struct file {
    char name[PATH_BYTES_MAX]; // without folder and .json
    char type[PATH_BYTES_MAX]; // what stands in front of a +
    json_t *json;
};
static struct file files[FILES_MAX];
static size_t n_files;

// ---- files

static int compare_files(const void *a, const void *b) {
    return strcmp(((const struct file *)a)->name, ((const struct file *)b)->name);
}

static json_t *load(const char *path) {
    json_error_t error;
    json_t *json = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (json == NULL) {
        fail_msg("%s:%d: %s", path, error.line, error.text);
    }
    return json;
}

static void load_files(void) {
    DIR *folder = opendir(CATALOGUE_ROWS);
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        const char *end = strrchr(entry->d_name, '.');
        if (end == NULL || strcmp(end, ".json") != 0) {
            continue;
        }
        assert_true(n_files < FILES_MAX);
        struct file *file = &files[n_files++];
        char path[PATH_BYTES_MAX];
        snprintf(file->name, sizeof(file->name), "%.*s", (int)(end - entry->d_name), entry->d_name);
        size_t n_name = (size_t)(end - entry->d_name), n_type = strcspn(entry->d_name, "+");
        n_type = n_type < n_name ? n_type : n_name;
        snprintf(file->type, sizeof(file->type), "%.*s", (int)n_type, entry->d_name);
        assert_true((size_t)snprintf(path, sizeof(path), "%s/%s", CATALOGUE_ROWS, entry->d_name) <
                    sizeof(path));
        file->json = load(path);
    }
    closedir(folder);
    qsort(files, n_files, sizeof(files[0]), compare_files);
}

// ---- events

static int64_t number_of(const json_t *json, const char *name, int64_t otherwise) {
    const json_t *value = json_object_get(json, name);
    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

static char *text_of(struct arena *arena, const json_t *json, const char *name,
                     const char *otherwise) {
    const char *text = json_string_value(json_object_get(json, name));
    return arena_strdup(arena, text != NULL ? text : otherwise);
}

static Touchbus__Stamp *stamp_of(struct arena *arena, const json_t *json) {
    if (json == NULL) {
        return NULL;
    }
    Touchbus__Stamp *stamp = arena_alloc(arena, sizeof(*stamp));
    touchbus__stamp__init(stamp);
    stamp->merge_from = (uint64_t)number_of(json, "merge_from", 0);
    stamp->merge_into = (uint64_t)number_of(json, "merge_into", 0);
    stamp->split = (uint64_t)number_of(json, "split", 0);
    stamp->tier = text_of(arena, json, "tier", "");
    stamp->phase = text_of(arena, json, "phase", "");
    stamp->value_micro = number_of(json, "value_micro", 0);
    const json_t *vetoes = json_object_get(json, "vetoes");
    stamp->vetoes = arena_calloc(arena, json_array_size(vetoes) + 1, sizeof(*stamp->vetoes));
    for (size_t i = 0; i < json_array_size(vetoes); i++) {
        stamp->vetoes[stamp->n_vetoes++] = (uint64_t)json_integer_value(json_array_get(vetoes, i));
    }
    return stamp;
}

// Of a file's event; `number` makes its id, so that it has the same one whenever it is played.
static Touchbus__Event *event_of(struct scene *scene, const json_t *json, size_t number) {
    struct arena *arena = scene->arena;
    const char *key;
    json_t *verified;
    char *data = json_dumps(json_object_get(json, "data"), JSON_COMPACT);
    Touchbus__Event *event = support_event(arena, text_of(arena, json, "type", ""),
                                           arena_printf(arena, "e-%02zu", number), data);
    free(data);
    event->channel = text_of(arena, json, "channel", "web");
    event->has_time = true;
    event->time_us = number_of(json, "time", 0) * SECOND_US;
    event->received_us = RECEIVED_US;
    event->rank = (uint32_t)number_of(json, "rank", 0);
    event->customer = (uint64_t)number_of(json, "customer", 1);
    event->erases = json_is_true(json_object_get(json, "erases"));
    event->stamp = stamp_of(arena, json_object_get(json, "stamp"));
    json_object_foreach(json_object_get(json, "keys"), key, verified) {
        char *kind = arena_strdup(arena, key), *value = strchr(kind, '=');
        *value++ = '\0';
        support_attach(scene->fixture, event, kind, value, json_is_true(verified));
    }
    return event;
}

static void play(struct scene *scene, const json_t *json, size_t number) {
    Touchbus__Event *event = event_of(scene, json, number);
    event->sequence = ++scene->sequence;
    assert_int_equal(fold_apply(scene->fold, scene->txn, event), 0);
}

static json_t *dump(struct scene *scene) {
    assert_int_equal(fold_flush(scene->fold, scene->txn), 0);
    return dump_customer(scene->fold, scene->txn, scene->arena, 1);
}

// Plays the file in order; *ret_before may be NULL.
static json_t *play_file(void **state, const struct file *file, json_t **ret_before) {
    const json_t *given = json_object_get(file->json, "given");
    struct scene scene;
    scene_open(state, &scene);
    for (size_t i = 0; i < json_array_size(given); i++) {
        play(&scene, json_array_get(given, i), i);
    }
    if (ret_before != NULL) {
        *ret_before = dump(&scene);
    }
    play(&scene, json_object_get(file->json, "event"), json_array_size(given));
    json_t *after = dump(&scene);
    scene_close(&scene);
    return after;
}

// In the order of the file's `twin`, where it has one (what the system itself decides comes after
// what made it decide); else the event first, then what was given, backwards.
static json_t *play_twin(void **state, const struct file *file) {
    const json_t *given = json_object_get(file->json, "given");
    const json_t *order = json_object_get(file->json, "twin");
    size_t n = json_array_size(given);
    struct scene scene;
    scene_open(state, &scene);
    for (size_t i = 0; i <= n; i++) {
        size_t next = order != NULL ? (size_t)json_integer_value(json_array_get(order, i)) : n - i;
        play(&scene, next < n ? json_array_get(given, next) : json_object_get(file->json, "event"),
             next);
    }
    json_t *after = dump(&scene);
    scene_close(&scene);
    return after;
}

// Takes the reference of found.
static void expect(const struct file *file, const char *member, json_t *found) {
    const json_t *expected = json_object_get(file->json, member);
    if (!json_equal(found, expected)) {
        char *text = json_dumps(found, JSON_INDENT(2) | JSON_SORT_KEYS);
        print_message("%s: %s is\n%s\n", file->name, member, text);
        fail_msg("%s: %s is another one", file->name, member);
    }
    json_decref(found);
}

// ---- tests

static void test_every_row_has_a_file_and_every_file_a_row(void **state) {
    struct catalogue *catalogue = NULL;
    char *error = NULL;
    size_t n_rows, n_missing = 0;
    (void)state;
    assert_int_equal(catalogue_load(NULL, &catalogue, &error), 0);
    const struct catalogue_type *rows = catalogue_rows(catalogue, &n_rows);
    for (size_t i = 0; i < n_rows; i++) {
        size_t k = 0;
        while (k < n_files && strcmp(files[k].type, rows[i].name) != 0) {
            k++;
        }
        if (k == n_files) {
            print_message("%s has no file\n", rows[i].name);
            n_missing++;
        }
    }
    assert_int_equal(n_missing, 0);
    for (size_t k = 0; k < n_files; k++) {
        const json_t *event = json_object_get(files[k].json, "event");
        assert_string_equal(json_string_value(json_object_get(event, "type")), files[k].type);
        assert_true(catalogue_find(catalogue, files[k].type) != NULL ||
                    strncmp(files[k].type, "acme.", 5) == 0);
        assert_true(json_array_size(json_object_get(files[k].json, "given")) > 0);
    }
    catalogue_free(catalogue);
}

// What a file plays passes its row, so that no file shows what no publisher can do.
static void test_every_event_of_a_file_fits_its_row(void **state) {
    struct catalogue *catalogue = NULL;
    char *error = NULL, detail[256];
    struct scene scene;
    assert_int_equal(catalogue_load(NULL, &catalogue, &error), 0);
    scene_open(state, &scene);
    for (size_t k = 0; k < n_files; k++) {
        const json_t *given = json_object_get(files[k].json, "given");
        for (size_t i = 0; i <= json_array_size(given); i++) {
            const json_t *json = i < json_array_size(given)
                                     ? json_array_get(given, i)
                                     : json_object_get(files[k].json, "event");
            const Touchbus__Event *event = event_of(&scene, json, i);
            const struct catalogue_type *row = catalogue_find(catalogue, event->type);
            if (row != NULL &&
                catalogue_check(row, event->data.data, event->data.len, detail, sizeof(detail))) {
                fail_msg("%s: %s", files[k].name, detail);
            }
        }
    }
    scene_close(&scene);
    catalogue_free(catalogue);
}

static void test_before_and_after_are_as_the_files_say(void **state) {
    for (size_t i = 0; i < n_files; i++) {
        json_t *before;
        json_t *after = play_file(state, &files[i], &before);
        expect(&files[i], "before", before);
        expect(&files[i], "after", after);
    }
}

static void test_out_of_order_it_ends_the_same(void **state) {
    for (size_t i = 0; i < n_files; i++) {
        expect(&files[i], "after", play_twin(state, &files[i]));
    }
}

#ifdef TOUCHBUS_FAULTPOINTS
static bool differs_without(void **state, const struct file *file, int row, int *ret_met) {
    fold_leave_out(file->type, row);
    json_t *after = play_file(state, file, NULL);
    *ret_met = fold_rows_met();
    fold_leave_out(NULL, 0);
    bool differs = !json_equal(after, json_object_get(file->json, "after"));
    json_decref(after);
    return differs;
}

static void test_without_any_one_row_of_the_fold_a_file_is_not_as_it_says(void **state) {
    for (size_t first = 0, next; first < n_files; first = next) {
        bool noticed[ROWS_MAX] = {false}, timeline = false;
        int n_rows = 0, met;
        for (next = first; next < n_files && strcmp(files[next].type, files[first].type) == 0;
             next++) {
            timeline |= differs_without(state, &files[next], FOLD_LEAVE_TIMELINE, &met);
            n_rows = met > n_rows ? met : n_rows;
            assert_true(n_rows <= ROWS_MAX);
            for (int row = 0; row < met; row++) {
                noticed[row] |= differs_without(state, &files[next], row, &met);
            }
        }
        bool of_nobody = number_of(json_object_get(files[first].json, "event"), "customer", 1) == 0;
        for (int row = 0; row < n_rows; row++) {
            if (!noticed[row]) {
                fail_msg("%s: nothing notices that row %d is left out", files[first].type, row);
            }
        }
        if (!timeline && !of_nobody) {
            fail_msg("%s: nothing notices that the timeline is left out", files[first].type);
        }
    }
}
#endif

static int set_up(void **state) {
    load_files();
    return support_setup(state);
}

static int tear_down(void **state) {
    for (size_t i = 0; i < n_files; i++) {
        json_decref(files[i].json);
    }
    return support_teardown(state);
}

// For who writes a file.
static int print_file(const char *path) {
    void *state = NULL;
    struct file file = {.json = load(path)};
    json_t *before;
    support_setup(&state);
    json_t *after = play_file(&state, &file, &before);
    json_object_set_new(file.json, "before", before);
    json_object_set_new(file.json, "after", after);
    json_t *twin = play_twin(&state, &file);
    int r = json_equal(twin, after) ? 0 : 1;
    json_dumpf(file.json, stdout, JSON_INDENT(2));
    if (r != 0) {
        fprintf(stderr, "\nout of order it ends as\n");
        json_dumpf(twin, stderr, JSON_INDENT(2));
    }
    json_decref(twin);
    json_decref(file.json);
    support_teardown(&state);
    return r;
}

int main(int argc, char **argv) {
    if (argc == 2) {
        return print_file(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_has_a_file_and_every_file_a_row),
        cmocka_unit_test(test_every_event_of_a_file_fits_its_row),
        cmocka_unit_test(test_before_and_after_are_as_the_files_say),
        cmocka_unit_test(test_out_of_order_it_ends_the_same),
#ifdef TOUCHBUS_FAULTPOINTS
        cmocka_unit_test(test_without_any_one_row_of_the_fold_a_file_is_not_as_it_says),
#endif
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

// SPDX-License-Identifier: Apache-2.0
// The rules of what is put aside: rows of erased persons go, whatever format their item has, others
// stay as they are, nothing is changed by a question without an answer, and an operator may empty
// it beside the running connector.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "connectors/kit/quarantine.h"
#include "schemas/base/base64.h"
#include "schemas/base/cleanup.h"
#include "tests/unit/scratch.h"

struct fixture {
    char folder[SCRATCH_PATH_BYTES];
    struct quarantine *quarantine;
    const char *kind, *value; // of the person who was erased
    int fail, n_asked;
    struct quarantine *add_meanwhile;
    bool empty_meanwhile; // before that
};

static int setup(void **state) {
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    scratch_make(fixture->folder);
    assert_int_equal(quarantine_open(fixture->folder, &fixture->quarantine), 0);
    *state = fixture;
    return 0;
}

static int teardown(void **state) {
    struct fixture *fixture = *state;
    quarantine_close(fixture->quarantine);
    scratch_remove(fixture->folder);
    free(fixture);
    return 0;
}

static void put(struct quarantine *quarantine, const char *id, const void *item, size_t size) {
    const struct kit_quarantined row = {
        .id = id, .reason = "broken", .item = item, .item_size = size};
    assert_int_equal(quarantine_add(quarantine, &row, 1), 0);
}

static void put_text(struct fixture *fixture, const char *id, const char *text) {
    put(fixture->quarantine, id, text, strlen(text));
}

static int ask(void *user, const struct kit_identity *identities, size_t n, bool *ret) {
    struct fixture *fixture = user;
    fixture->n_asked++;
    assert_true(n <= KIT_TOMBSTONED_MAX);
    for (size_t i = 0; i < n; i++) {
        ret[i] = strcmp(identities[i].kind, fixture->kind) == 0 &&
                 strcmp(identities[i].value, fixture->value) == 0;
    }
    if (fixture->empty_meanwhile) {
        assert_int_equal(quarantine_command("drop", fixture->folder, "."), 0);
        fixture->empty_meanwhile = false;
    }
    if (fixture->add_meanwhile != NULL) {
        put(fixture->add_meanwhile, "meanwhile", "x", 1);
        fixture->add_meanwhile = NULL;
    }
    return fixture->fail;
}

// The ids that are there, each with a blank behind it; the file's rows must all be whole.
static const char *ids(const struct fixture *fixture) {
    static char text[1024];
    char path[128];
    snprintf(path, sizeof(path), "%s/" QUARANTINE_NAME, fixture->folder);
    FILE *file = fopen(path, "r");
    char *line = NULL, *id;
    size_t capacity = 0;
    text[0] = '\0';
    while (file != NULL && getline(&line, &capacity, file) > 0) {
        assert_int_equal(line[strlen(line) - 1], '\n');
        assert_non_null(id = strstr(line, "\"id\":\""));
        id += 6;
        size_t used = strlen(text);
        snprintf(text + used, sizeof(text) - used, "%.*s ", (int)strcspn(id, "\""), id);
    }
    free(line);
    if (file != NULL) {
        fclose(file);
    }
    return text;
}

static int purge(struct fixture *fixture, const char *kind, const char *value,
                 uint64_t *ret_unchecked) {
    uint64_t from = 0;
    fixture->kind = kind;
    fixture->value = value;
    return quarantine_purge(fixture->quarantine, &from, ask, fixture, ret_unchecked);
}

static void test_rows_go_by_the_identities_of_their_event(void **state) {
    struct fixture *fixture = *state;
    uint64_t unchecked;
    for (int i = 0; i < 3; i++) {
        char value[32];
        void *bytes;
        size_t size;
        touchbus_event *event = touchbus_event_new("page.viewed", "/s", "e");
        snprintf(value, sizeof(value), "u-%d", i);
        assert_int_equal(touchbus_event_add_identity(event, "user_id", value, false), 0);
        assert_int_equal(touchbus_event_serialize(event, &bytes, &size), 0);
        put(fixture->quarantine, value, bytes, size);
        free(bytes);
        touchbus_event_free(event);
    }
    assert_int_equal(purge(fixture, "user_id", "u-1", &unchecked), 0);
    assert_string_equal(ids(fixture), "u-0 u-2 ");
    put_text(fixture, "later", "{}");
    assert_string_equal(ids(fixture), "u-0 u-2 later ");
}

static void test_rows_go_by_any_text_of_a_foreign_item(void **state) {
    struct fixture *fixture = *state;
    uint64_t unchecked = 9;
    static const struct {
        const char *id, *item, *kind, *value;
    } rows[] = {
        {"json", "{\"type\":\"track\",\"userId\":\"u-1\"}", "user_id", "u-1"},
        {"number", "{\"batch\":[{\"user_id\":4711}]}", "user_id", "4711"},
        {"deep", "{\"a\":[{\"b\":{\"c\":\"Ana@Klant.example\"}}]}", "email", "Ana@Klant.example"},
        {"escaped", "{\"m\":\"ana\\u0040klant.example\"}", "email", "ana@klant.example"},
        {"phone", "{\"traits\":{\"tel\":\"+31 6 1234 5678\"}}", "phone", "+31 6 1234 5678"},
        {"cut", "{\"anonymousId\":\"visitor-77\",\"us", "anonymous_id", "visitor-77"},
        {"form", "email=ana%40klant.example&x=1", "email", "ana@klant.example"},
        {"prose", "From: Ana <ana@klant.example>.", "email", "ana@klant.example"},
        {"letters", "Compte \xc3\xa9milie-42, merci", "account", "\xc3\xa9milie-42"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        put_text(fixture, "before", "{\"userId\":\"u-2\",\"note\":\"somebody else\"}");
        put_text(fixture, rows[i].id, rows[i].item);
        put_text(fixture, "after", "no name in it");
        assert_int_equal(purge(fixture, rows[i].kind, rows[i].value, &unchecked), 0);
        if (strcmp(ids(fixture), "before after ") != 0) {
            fail_msg("%s: %s", rows[i].id, ids(fixture));
        }
        assert_int_equal(quarantine_command("drop", "/tmp", fixture->folder + 5), 0);
    }
}

static void test_what_names_nobody_is_counted_and_stays(void **state) {
    struct fixture *fixture = *state;
    uint64_t unchecked = 0;
    put_text(fixture, "none", "\x01\x02..");
    put_text(fixture, "some", "{\"userId\":\"u-2\"}");
    assert_int_equal(purge(fixture, "user_id", "u-1", &unchecked), 0);
    assert_string_equal(ids(fixture), "none some ");
    assert_int_equal(unchecked, 1);
}

static void test_a_question_without_an_answer_changes_nothing(void **state) {
    struct fixture *fixture = *state;
    uint64_t unchecked;
    put_text(fixture, "mine", "{\"userId\":\"u-1\"}");
    fixture->fail = -ETIMEDOUT;
    assert_int_equal(purge(fixture, "user_id", "u-1", &unchecked), -ETIMEDOUT);
    assert_string_equal(ids(fixture), "mine ");
    fixture->fail = 0;
    assert_int_equal(purge(fixture, "user_id", "u-1", &unchecked), 0);
    assert_string_equal(ids(fixture), "");
}

static void test_what_is_put_aside_meanwhile_stays(void **state) {
    struct fixture *fixture = *state;
    uint64_t unchecked;
    put_text(fixture, "mine", "{\"userId\":\"u-1\"}");
    fixture->add_meanwhile = fixture->quarantine;
    assert_int_equal(purge(fixture, "user_id", "u-1", &unchecked), 0);
    assert_string_equal(ids(fixture), "meanwhile ");
}

static void test_rows_in_the_place_of_those_that_were_looked_at_stay(void **state) {
    struct fixture *fixture = *state;
    uint64_t unchecked;
    put_text(fixture, "a", "anonymous");
    fixture->empty_meanwhile = true;
    fixture->add_meanwhile = fixture->quarantine; // a longer row, where the other one was
    assert_int_equal(purge(fixture, "user_id", "anonymous", &unchecked), -EAGAIN);
    assert_string_equal(ids(fixture), "meanwhile ");
    assert_int_equal(purge(fixture, "user_id", "anonymous", &unchecked), 0);
    assert_string_equal(ids(fixture), "meanwhile ");
}

static void test_a_second_look_begins_where_the_first_one_ended(void **state) {
    struct fixture *fixture = *state;
    uint64_t from = 0, unchecked;
    fixture->kind = "user_id";
    fixture->value = "u-1";
    put_text(fixture, "one", "{\"userId\":\"u-2\"}");
    put_text(fixture, "mine", "{\"userId\":\"u-1\"}");
    assert_int_equal(quarantine_purge(fixture->quarantine, &from, ask, fixture, &unchecked), 0);
    int n_asked = fixture->n_asked;
    assert_int_equal(quarantine_purge(fixture->quarantine, &from, ask, fixture, &unchecked), 0);
    assert_int_equal(fixture->n_asked, n_asked);
    put_text(fixture, "late", "{\"userId\":\"u-1\"}");
    assert_int_equal(quarantine_purge(fixture->quarantine, &from, ask, fixture, &unchecked), 0);
    assert_string_equal(ids(fixture), "one ");
}

static void test_many_rows_take_few_questions(void **state) {
    struct fixture *fixture = *state;
    uint64_t unchecked = 0;
    enum { N = 400 };
    for (int i = 0; i < N; i++) {
        char item[96];
        snprintf(item, sizeof(item), "{\"userId\":\"u-%d\",\"note\":\"called by somebody\"}", i);
        put_text(fixture, i == 150 || i == 399 ? "mine" : "", item);
    }
    assert_int_equal(purge(fixture, "user_id", "u-150", &unchecked), 0);
    assert_true(fixture->n_asked < N / 10);
    assert_int_equal(strlen(ids(fixture)), N - 2 + strlen("mine "));
    assert_int_equal(purge(fixture, "user_id", "u-399", &unchecked), 0);
    assert_int_equal(strlen(ids(fixture)), N - 2);
    assert_int_equal(unchecked, 0);
}

static void test_an_operator_empties_it_beside_the_connector(void **state) {
    struct fixture *fixture = *state;
    put_text(fixture, "one", "x");
    assert_int_equal(quarantine_command("drop", "/tmp", fixture->folder + 5), 0);
    assert_string_equal(ids(fixture), "");
    put_text(fixture, "two", "y");
    assert_string_equal(ids(fixture), "two ");
    assert_true(quarantine_command_known("ls"));
    assert_false(quarantine_command_known("rm"));
}

#define RULE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        RULE(test_rows_go_by_the_identities_of_their_event),
        RULE(test_rows_go_by_any_text_of_a_foreign_item),
        RULE(test_what_names_nobody_is_counted_and_stays),
        RULE(test_a_question_without_an_answer_changes_nothing),
        RULE(test_what_is_put_aside_meanwhile_stays),
        RULE(test_rows_in_the_place_of_those_that_were_looked_at_stay),
        RULE(test_a_second_look_begins_where_the_first_one_ended),
        RULE(test_many_rows_take_few_questions),
        RULE(test_an_operator_empties_it_beside_the_connector),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

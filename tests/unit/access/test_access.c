// SPDX-License-Identifier: Apache-2.0
// The rules of roles and keys: what a row may say, what a role's right covers, whose name is whose,
// what a folder of certificates must be, and what a reload changes. No network.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/access_internal.h"
#include "tests/unit/schemas/cmocka_all.h"

enum { PATH_BYTES = 256, WHY = 1024, FILES_MAX = 16 };

struct fixture {
    char folder[PATH_BYTES], clients[PATH_BYTES], own[PATH_BYTES];
    char public[FILES_MAX][CERTIFICATE_KEY_CHARS + 1];
    char *files[FILES_MAX];
    size_t n_files;
};

static void write_file(const char *path, const char *name, const char *role, const char *public,
                       const char *secret) {
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fprintf(file,
            "metadata\n    name = \"%s\"\n    role = \"%s\"\ncurve\n    public-key = \"%s\"\n",
            name, role, public);
    if (secret != NULL) {
        fprintf(file, "    secret-key = \"%s\"\n", secret);
    }
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

// A certificate in --clients; returns its public key.
static const char *add(struct fixture *fixture, const char *file, const char *name,
                       const char *role) {
    char secret[CERTIFICATE_KEY_CHARS + 1];
    char *path = NULL;
    char *public = fixture->public[fixture->n_files];
    assert_true(fixture->n_files < FILES_MAX);
    assert_int_equal(zmq_curve_keypair(public, secret), 0);
    assert_true(asprintf(&path, "%s/%s", fixture->clients, file) > 0);
    write_file(path, name, role, public, NULL);
    fixture->files[fixture->n_files++] = path;
    return public;
}

static int setup(void **state) {
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    char public[CERTIFICATE_KEY_CHARS + 1], secret[CERTIFICATE_KEY_CHARS + 1];
    snprintf(fixture->folder, PATH_BYTES, "/tmp/test_access.XXXXXX");
    if (mkdtemp(fixture->folder) == NULL) {
        return -1;
    }
    int n = snprintf(fixture->clients, PATH_BYTES, "%.200s/clients", fixture->folder);
    n += snprintf(fixture->own, PATH_BYTES, "%.200s/own", fixture->folder);
    assert_int_equal(zmq_curve_keypair(public, secret), 0);
    write_file(fixture->own, "broker", "broker", public, secret);
    *state = fixture;
    return n > 0 ? mkdir(fixture->clients, 0700) : -1;
}

static int teardown(void **state) {
    struct fixture *fixture = *state;
    for (size_t i = 0; i < fixture->n_files; i++) {
        unlink(fixture->files[i]);
        free(fixture->files[i]);
    }
    unlink(fixture->own);
    rmdir(fixture->clients);
    int r = rmdir(fixture->folder);
    free(fixture);
    return r;
}

#define LIST(rows, n) (&(struct option_list){.values = (char **)(uintptr_t)(rows), .n_values = (n)})

// ---- roles

static int parse(const char *row, char why[static WHY]) {
    struct roles roles = {0};
    why[0] = '\0';
    int r = roles_parse(LIST(&row, 1), &roles, why, WHY);
    roles_clear(&roles);
    return r;
}

static void test_rows_that_mean_nothing_are_refused_with_their_token(void **state) {
    (void)state;
    static const struct {
        const char *row, *token;
    } rows[] = {
        {"", ""},
        {"  ", "empty"},
        {"a/b publish=*", "'a/b'"},
        {"web publsh=*", "'publsh=*'"},
        {"web publish", "'publish'"},
        {"web publish=", "'publish='"},
        {"web publish=a,,b", "'publish=a,,b'"},
        {"web publish=%x", "'publish=%x'"},
        {"web publish=a publish=b", "'publish=b'"},
        {"web admin=yes", "'admin=yes'"},
        {"web quota=0", "'quota=0'"},
        {"web quota=1k", "'quota=1k'"},
        {"web quota=-1", "'quota=-1'"},
        {"web read=adresses", "'read=adresses'"},
        {"web publish=a\x01", "'publish="},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char why[WHY];
        assert_int_equal(parse(rows[i].row, why), -EINVAL);
        assert_non_null(strstr(why, "--role"));
        assert_non_null(strstr(why, rows[i].token));
    }
}

static void test_a_role_may_not_stand_twice_but_for_a_built_in_one(void **state) {
    (void)state;
    char why[WHY];
    const char *const twice[] = {"web publish=a", "web publish=b"};
    const char *const built_in[] = {"viewer read=keys"};
    struct roles roles = {0};
    assert_int_equal(roles_parse(LIST(twice, 2), &roles, why, WHY), -EINVAL);
    assert_int_equal(roles_parse(LIST(built_in, 1), &roles, why, WHY), 0);
    assert_string_equal(roles_find(&roles, "viewer")->read.patterns[0], "keys");
    assert_non_null(roles_find(&roles, "admin"));
    roles_clear(&roles);
}

// ---- rights

// A table of the fixture's certificates under these roles.
static struct access_table *read_table(struct fixture *fixture, const char *const *rows, size_t n) {
    char why[WHY] = "";
    struct roles roles = {0};
    struct access_table *table = NULL;
    assert_int_equal(roles_parse(LIST(rows, n), &roles, why, WHY), 0);
    int r = access_table_read(fixture->clients, &roles, &table, why, WHY);
    roles_clear(&roles);
    if (r != 0) {
        fail_msg("%s", why);
    }
    return table;
}

static void test_publish_covers_what_it_names_and_never_the_brokers_own(void **state) {
    const char *const rows[] = {"shop publish=order.*,page.viewed", "all publish=* source=*",
                                "merger publish=* merge"};
    const char *shop = add(*state, "shop.key", "shop", "shop");
    const char *all = add(*state, "all.key", "all", "all");
    const char *merger = add(*state, "merger.key", "merger", "merger");
    struct access_table *table = read_table(*state, rows, 3);
    const struct grant *grant = access_table_find(table, shop);
    assert_true(grant_may_publish(grant, "order.placed"));
    assert_true(grant_may_publish(grant, "page.viewed"));
    assert_false(grant_may_publish(grant, "page.viewed.twice"));
    assert_false(grant_may_publish(grant, "quote.issued"));
    grant = access_table_find(table, all);
    assert_true(grant_may_publish(grant, "quote.issued"));
    assert_false(grant_may_publish(grant, "admin.acted"));
    assert_false(grant_may_publish(grant, "configuration.changed"));
    assert_false(grant_may_publish(grant, "merge.requested"));
    assert_false(grant_may_use_source(grant, "/touchbus"));
    assert_true(grant_may_use_source(grant, "/shop"));
    assert_true(grant_may_publish(access_table_find(table, merger), "merge.requested"));
    access_table_free(table);
}

static void test_a_source_belongs_to_the_key_unless_its_role_says_more(void **state) {
    const char *const rows[] = {"plain publish=*", "wide publish=* source=/eu/*,%n:*"};
    const char *plain = add(*state, "plain.key", "web", "plain");
    const char *wide = add(*state, "wide.key", "hub", "wide");
    struct access_table *table = read_table(*state, rows, 2);
    const struct grant *grant = access_table_find(table, plain);
    static const char *const its[] = {"web", "/web", "web/a", "/web/a", "/web-00c0ffee", "web.x"};
    static const char *const others[] = {"/webs", "/we", "", "/", "//web", "/hub", "web-2"};
    for (size_t i = 0; i < sizeof(its) / sizeof(its[0]); i++) {
        assert_true(grant_may_use_source(grant, its[i]));
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_false(grant_may_use_source(grant, others[i]));
    }
    grant = access_table_find(table, wide);
    assert_true(grant_may_use_source(grant, "/eu/shop"));
    assert_true(grant_may_use_source(grant, "hub:1"));
    assert_false(grant_may_use_source(grant, "/hub"));
    access_table_free(table);
}

static void test_a_name_belongs_to_the_longest_key_that_fits(void **state) {
    const char *web = add(*state, "web.key", "web", "source");
    const char *eu = add(*state, "eu.key", "web.eu", "source");
    struct access_table *table = read_table(*state, NULL, 0);
    const struct grant *short_one = access_table_find(table, web);
    const struct grant *long_one = access_table_find(table, eu);
    assert_true(grant_owns(short_one, "web"));
    assert_true(grant_owns(short_one, "web-0a1b2c3d"));
    assert_true(grant_owns(short_one, "web/1"));
    assert_true(grant_owns(short_one, "web.us"));
    assert_false(grant_owns(short_one, "web-2"));
    assert_false(grant_owns(short_one, "web-0a1b2c3d4"));
    assert_false(grant_owns(short_one, "web.eu"));
    assert_false(grant_owns(short_one, "web.eu/1"));
    assert_false(grant_owns(short_one, "web.eu-0a1b2c3d"));
    assert_true(grant_owns(long_one, "web.eu-0a1b2c3d"));
    assert_false(grant_owns(long_one, "web"));
    assert_false(grant_owns(short_one, ""));
    access_table_free(table);
}

static void test_a_filter_must_be_covered_whole(void **state) {
    const char *const rows[] = {"crm subscribe=%n,%n/* receive=order.*,case.opened"};
    const char *key = add(*state, "crm.key", "crm", "crm");
    struct access_table *table = read_table(*state, rows, 1);
    const struct grant *grant = access_table_find(table, key);
    static const struct {
        const char *pattern;
        bool covered;
    } patterns[] = {{"order.*", true},     {"order.placed", true}, {"order.*.x", true},
                    {"case.opened", true}, {"case.*", false},      {"*", false},
                    {"order*", false},     {"*.placed", false},    {"", false}};
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        const char *types[] = {"order.placed", patterns[i].pattern};
        assert_int_equal(grant_may_receive(grant, (char **)(uintptr_t)types, 2),
                         patterns[i].covered);
    }
    assert_false(grant_may_receive(grant, NULL, 0)); // no patterns: all types
    assert_true(grant_may_subscribe(grant, "crm"));
    assert_true(grant_may_subscribe(grant, "crm/2"));
    assert_false(grant_may_subscribe(grant, "erp"));
    assert_false(grant_may_subscribe(grant, "crm2"));
    access_table_free(table);
}

static void test_reading_is_by_field(void **state) {
    const char *const rows[] = {"desk read=keys,attributes.tier,attributes.con*,timeline"};
    const char *desk = add(*state, "desk.key", "desk", "desk");
    const char *none = add(*state, "none.key", "none", "source");
    struct access_table *table = read_table(*state, rows, 1);
    const struct grant *grant = access_table_find(table, desk);
    assert_true(grant_may_read(grant, "keys"));
    assert_true(grant_may_read(grant, "attributes.tier"));
    assert_true(grant_may_read(grant, "attributes.consent"));
    assert_false(grant_may_read(grant, "attributes.email"));
    assert_false(grant_may_read(grant, "attributes"));
    assert_false(grant_may_read(grant, "orders"));
    assert_false(grant_may_read_anything(access_table_find(table, none)));
    access_table_free(table);
}

static void test_a_quota_is_events_a_second_with_a_second_saved_up(void **state) {
    (void)state;
    struct access_account account = {.name = "web"};
    struct grant grant = {.quota = 10, .account = &account};
    int64_t now_us = INT64_C(1000000000);
    for (int i = 0; i < 10; i++) {
        assert_true(grant_take_quota(&grant, now_us));
    }
    assert_false(grant_take_quota(&grant, now_us));
    assert_false(grant_take_quota(&grant, now_us + 99999));
    assert_true(grant_take_quota(&grant, now_us + 100000));
    assert_false(grant_take_quota(&grant, now_us + 100000));
    now_us += INT64_C(86400) * 1000000; // a day off saves up no more than a second
    for (int i = 0; i < 10; i++) {
        assert_true(grant_take_quota(&grant, now_us));
    }
    assert_false(grant_take_quota(&grant, now_us));
    assert_true(atomic_load(&account.busy) == 4);
    grant.quota = 0;
    assert_true(grant_take_quota(&grant, now_us));
}

// ---- the folder

static void refuses(struct fixture *fixture, int error, const char *one, const char *other) {
    char why[WHY] = "";
    struct roles roles = {0};
    struct access_table *table = NULL;
    assert_int_equal(roles_parse(&(struct option_list){0}, &roles, why, WHY), 0);
    assert_int_equal(access_table_read(fixture->clients, &roles, &table, why, WHY), error);
    assert_null(table);
    assert_non_null(strstr(why, one));
    assert_non_null(strstr(why, other));
    roles_clear(&roles);
}

static void test_a_certificate_of_no_role_refuses_the_folder(void **state) {
    add(*state, "good.key", "good", "source");
    add(*state, "bad.key", "bad", "wizard");
    refuses(*state, -EINVAL, "bad.key", "wizard");
}

static void test_what_anybody_may_write_to_refuses_the_folder(void **state) {
    struct fixture *fixture = *state;
    add(fixture, "good.key", "good", "source");
    assert_int_equal(chmod(fixture->files[0], 0666), 0);
    refuses(fixture, -EPERM, "good.key", "anybody may write");
    assert_int_equal(chmod(fixture->files[0], 0644), 0);
    assert_int_equal(chmod(fixture->clients, 01777), 0);
    refuses(fixture, -EPERM, fixture->clients, "anybody may write");
}

static void test_a_file_that_cannot_be_read_refuses_the_folder(void **state) {
    struct fixture *fixture = *state;
    add(fixture, "good.key", "good", "source");
    add(fixture, "torn.key", "torn", "source");
    FILE *file = fopen(fixture->files[1], "we");
    assert_true(file != NULL && fputs("curve\n    public-key = \"abc\"\n", file) > 0);
    fclose(file);
    refuses(fixture, -EBADMSG, "torn.key", "");
}

static void test_one_key_under_two_names_refuses_the_folder(void **state) {
    struct fixture *fixture = *state;
    const char *public = add(fixture, "one.key", "one", "source");
    add(fixture, "two.key", "two", "admin");
    write_file(fixture->files[1], "two", "admin", public, NULL);
    refuses(fixture, -EEXIST, "'one'", "'two'");
}

static void test_two_keys_of_one_name_are_a_rotation(void **state) {
    const char *old = add(*state, "web.key", "web", "source");
    const char *new = add(*state, "web.2.key", "web", "sink");
    struct access_table *table = read_table(*state, NULL, 0);
    assert_string_equal(access_table_find(table, old)->name, "web");
    assert_string_equal(access_table_find(table, old)->role, "source");
    assert_string_equal(access_table_find(table, new)->role, "sink");
    assert_null(access_table_find(table, "0000000000000000000000000000000000000000"));
    access_table_free(table);
}

// ---- the swap

static void test_a_reload_is_taken_up_by_a_readers_next_turn(void **state) {
    struct fixture *fixture = *state;
    const char *web = add(fixture, "web.key", "web", "source");
    const char *crm = add(fixture, "crm.key", "crm", "sink");
    struct configuration configuration = {.key = fixture->own, .clients = fixture->clients};
    void *zmq = zmq_ctx_new();
    struct access *access = NULL;
    struct access_reader reader;
    json_t *changes = NULL;
    assert_int_equal(access_new(&configuration, zmq, &access), 0);
    access_reader_init(&reader, access);
    const struct grant *grant = access_find(&reader, web);
    struct access_account *account = grant->account;
    unlink(fixture->files[1]);
    const char *erp = add(fixture, "erp.key", "erp", "sink");
    const char *const rows[] = {"source publish=order.*"};
    configuration.roles = *LIST(rows, 1);
    assert_int_equal(access_reload(access, &configuration, &changes), 0);
    assert_string_equal(grant->name, "web"); // still held
    assert_non_null(access_find(&reader, crm));
    assert_true(access_refresh(&reader));
    assert_false(access_refresh(&reader));
    assert_null(access_find(&reader, crm));
    assert_non_null(access_find(&reader, erp));
    assert_false(grant_may_publish(access_find(&reader, web), "page.viewed"));
    assert_ptr_equal(access_find(&reader, web)->account, account);
    char *text = json_dumps(changes, JSON_COMPACT);
    char *expected = NULL;
    assert_true(asprintf(&expected,
                         "{\"added\":[{\"name\":\"erp\",\"role\":\"sink\",\"key\":\"%.8s\"}],"
                         "\"removed\":[{\"name\":\"crm\",\"role\":\"sink\",\"key\":\"%.8s\"}],"
                         "\"changed\":[{\"name\":\"web\",\"role\":\"source\",\"key\":\"%.8s\"}]}",
                         erp, crm, web) > 0);
    assert_string_equal(text, expected);
    free(text);
    free(expected);
    json_decref(changes);
    access_reader_clear(&reader);
    access_free(access);
    zmq_ctx_term(zmq);
}

static void test_a_bad_reload_leaves_what_was_in_force(void **state) {
    struct fixture *fixture = *state;
    const char *web = add(fixture, "web.key", "web", "source");
    struct configuration configuration = {.key = fixture->own, .clients = fixture->clients};
    void *zmq = zmq_ctx_new();
    struct access *access = NULL;
    struct access_reader reader;
    json_t *changes = NULL;
    assert_int_equal(access_new(&configuration, zmq, &access), 0);
    access_reader_init(&reader, access);
    add(fixture, "bad.key", "bad", "wizard");
    assert_int_equal(access_reload(access, &configuration, &changes), -EINVAL);
    assert_null(changes);
    assert_false(access_refresh(&reader));
    assert_non_null(access_find(&reader, web));
    access_reader_clear(&reader);
    access_free(access);
    zmq_ctx_term(zmq);
}

static void test_a_secret_that_others_may_read_is_refused(void **state) {
    struct fixture *fixture = *state;
    struct configuration configuration = {.key = fixture->own, .clients = fixture->clients};
    add(fixture, "web.key", "web", "source");
    assert_int_equal(access_check(&configuration), 0);
    assert_int_equal(chmod(fixture->own, 0644), 0);
    assert_int_equal(access_check(&configuration), -EPERM);
    configuration.key = NULL;
    assert_int_equal(access_check(&configuration), -EINVAL);
}

static void test_without_keys_everything_is_allowed(void **state) {
    (void)state;
    struct access_reader reader;
    zmq_msg_t message;
    zmq_msg_init(&message);
    access_reader_init(&reader, NULL);
    const struct grant *grant = access_of(&reader, &message);
    assert_true(grant->local && grant->admin);
    assert_true(grant_may_publish(grant, "admin.acted") && grant_may_use_source(grant, "/x"));
    assert_true(grant_owns(grant, "anybody") && grant_may_subscribe(grant, "x"));
    assert_true(grant_may_receive(grant, NULL, 0) && grant_may_read(grant, "keys"));
    assert_true(grant_take_quota(grant, 0));
    assert_false(access_refresh(&reader));
    access_reader_clear(&reader);
    zmq_msg_close(&message);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_rows_that_mean_nothing_are_refused_with_their_token),
        TEST(test_a_role_may_not_stand_twice_but_for_a_built_in_one),
        TEST(test_publish_covers_what_it_names_and_never_the_brokers_own),
        TEST(test_a_source_belongs_to_the_key_unless_its_role_says_more),
        TEST(test_a_name_belongs_to_the_longest_key_that_fits),
        TEST(test_a_filter_must_be_covered_whole),
        TEST(test_reading_is_by_field),
        TEST(test_a_quota_is_events_a_second_with_a_second_saved_up),
        TEST(test_a_certificate_of_no_role_refuses_the_folder),
        TEST(test_what_anybody_may_write_to_refuses_the_folder),
        TEST(test_a_file_that_cannot_be_read_refuses_the_folder),
        TEST(test_one_key_under_two_names_refuses_the_folder),
        TEST(test_two_keys_of_one_name_are_a_rotation),
        TEST(test_a_reload_is_taken_up_by_a_readers_next_turn),
        TEST(test_a_bad_reload_leaves_what_was_in_force),
        TEST(test_a_secret_that_others_may_read_is_refused),
        TEST(test_without_keys_everything_is_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

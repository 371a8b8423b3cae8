// SPDX-License-Identifier: Apache-2.0
// The rules of keys on the client's side: which files are believed, and that a broker which does
// not take a key is told from one that is away. The other side is a ROUTER with CURVE here, and a
// ZAP handler that knows one key.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connectors/client/keys.h"
#include "peer.h"
#include "schemas/reasons.h"

enum { KEY_TEXT = 41, PATH_BYTES = 256, TRIES_MAX = 400, ZAP_FRAMES_MAX = 16 };

static char folder[] = "/tmp/test_keys.XXXXXX";
static const char *const files[] = {"broker.key",      "known.key_secret", "unknown.key_secret",
                                    "other.key",       "open.key_secret",  "known.key",
                                    "moved.key_secret"};
static char broker_secret[KEY_TEXT], broker_public[KEY_TEXT], known_public[KEY_TEXT];

static const char *path_of(const char *name) {
    static char paths[4][PATH_BYTES];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, PATH_BYTES, "%s/%s", folder, name);
    return path;
}

static void write_certificate(const char *file, const char *public_key, const char *secret_key,
                              mode_t mode) {
    FILE *out = fopen(path_of(file), "we");
    assert_non_null(out);
    fprintf(out, "curve\n    public-key = \"%s\"\n", public_key);
    if (secret_key != NULL) {
        fprintf(out, "    secret-key = \"%s\"\n", secret_key);
    }
    assert_int_equal(fclose(out), 0);
    assert_int_equal(chmod(path_of(file), mode), 0);
}

static int make_files(void **state) {
    (void)state;
    char public_key[KEY_TEXT];
    char secret_key[KEY_TEXT];
    unsetenv("TOUCHBUS_KEY");
    unsetenv("TOUCHBUS_BROKER_KEY");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(zmq_curve_keypair(broker_public, broker_secret), 0);
    write_certificate("broker.key", broker_public, NULL, 0644);
    assert_int_equal(zmq_curve_keypair(known_public, secret_key), 0);
    write_certificate("known.key_secret", known_public, secret_key, 0600);
    write_certificate("open.key_secret", known_public, secret_key, 0644);
    write_certificate("known.key", known_public, NULL, 0644);
    assert_int_equal(zmq_curve_keypair(public_key, secret_key), 0);
    write_certificate("unknown.key_secret", public_key, secret_key, 0600);
    assert_int_equal(zmq_curve_keypair(public_key, secret_key), 0);
    write_certificate("other.key", public_key, NULL, 0644);
    return 0;
}

static int remove_files(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        unlink(path_of(files[i]));
    }
    return rmdir(folder);
}

// ---- files

static void test_both_keys_or_none(void **state) {
    (void)state;
    struct keys keys;
    char why[CERTIFICATE_WHY_BYTES];
    assert_int_equal(keys_load(&keys, NULL, NULL, why), 0);
    assert_false(keys_present(&keys));
    assert_int_equal(keys_load(&keys, path_of("known.key_secret"), NULL, why), -EINVAL);
    assert_non_null(strstr(why, "no broker-key"));
    assert_int_equal(keys_load(&keys, NULL, path_of("broker.key"), why), -EINVAL);
    assert_non_null(strstr(why, "no key"));
    assert_false(keys_present(&keys));
}

static void test_the_environment_stands_in(void **state) {
    (void)state;
    struct keys keys;
    char why[CERTIFICATE_WHY_BYTES];
    setenv("TOUCHBUS_KEY", path_of("known.key_secret"), 1);
    setenv("TOUCHBUS_BROKER_KEY", path_of("broker.key"), 1);
    assert_int_equal(keys_load(&keys, NULL, NULL, why), 0);
    assert_true(keys_present(&keys));
    assert_string_equal(keys.server, broker_public);
    assert_string_equal(keys.own.public_key, known_public);
    keys_clear(&keys);
    unsetenv("TOUCHBUS_KEY");
    unsetenv("TOUCHBUS_BROKER_KEY");
}

static void test_files_that_cannot_be_believed_are_named(void **state) {
    (void)state;
    static const struct {
        const char *key, *broker_key;
        int error;
        const char *named;
    } rows[] = {
        {"open.key_secret", "broker.key", -EPERM, "open.key_secret"},
        {"known.key", "broker.key", -EINVAL, "known.key"},
        {"missing", "broker.key", -ENOENT, "missing"},
        {"known.key_secret", "missing", -ENOENT, "missing"},
        {"known.key_secret", "open.key_secret", -EPERM, "open.key_secret"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char why[CERTIFICATE_WHY_BYTES];
        touchbus_client *client;
        touchbus_publisher *publisher;
        touchbus_subscriber *subscriber;
        const char *key = path_of(rows[i].key);
        const char *broker_key = path_of(rows[i].broker_key);
        assert_int_equal(touchbus_keys_check(key, broker_key, why, sizeof(why)), rows[i].error);
        assert_non_null(strstr(why, rows[i].named));
        assert_int_equal(
            touchbus_client_new(&(touchbus_client_options){.key = key, .broker_key = broker_key},
                                &client),
            rows[i].error);
        assert_int_equal(
            touchbus_publisher_new(
                &(touchbus_publisher_options){.key = key, .broker_key = broker_key}, &publisher),
            rows[i].error);
        assert_int_equal(
            touchbus_subscriber_new(
                &(touchbus_subscriber_options){.key = key, .broker_key = broker_key}, &subscriber),
            rows[i].error);
    }
}

static void test_a_reload_takes_other_keys_and_keeps_the_old_ones_where_it_cannot(void **state) {
    (void)state;
    struct keys keys;
    char why[CERTIFICATE_WHY_BYTES];
    char public_key[KEY_TEXT];
    char secret_key[KEY_TEXT];
    assert_int_equal(zmq_curve_keypair(public_key, secret_key), 0);
    write_certificate("moved.key_secret", public_key, secret_key, 0600);
    assert_int_equal(keys_load(&keys, path_of("moved.key_secret"), path_of("broker.key"), why), 0);
    assert_int_equal(keys_reload(&keys, why), 0);
    assert_int_equal(chmod(path_of("moved.key_secret"), 0644), 0);
    assert_int_equal(keys_reload(&keys, why), -EPERM);
    assert_string_equal(keys.own.public_key, public_key);
    assert_int_equal(zmq_curve_keypair(public_key, secret_key), 0);
    write_certificate("moved.key_secret", public_key, secret_key, 0600);
    assert_int_equal(keys_reload(&keys, why), 1);
    assert_string_equal(keys.own.public_key, public_key);
    assert_string_equal(keys.own.secret_key, secret_key);
    keys_clear(&keys);
}

// ---- handshakes

struct door {
    void *context, *socket, *zap;
    pthread_t thread;
    atomic_bool stop;
    char broker[64];
};

static void reply(void *zap, const zmq_msg_t *frames, bool known) {
    char version[] = "1.0";
    zmq_send(zap, version, 3, ZMQ_SNDMORE);
    union {
        const zmq_msg_t *from;
        zmq_msg_t *to;
    } request = {.from = &frames[1]};
    zmq_send(zap, zmq_msg_data(request.to), zmq_msg_size(request.to), ZMQ_SNDMORE);
    zmq_send(zap, known ? "200" : "400", 3, ZMQ_SNDMORE);
    zmq_send(zap, "", 0, ZMQ_SNDMORE);
    zmq_send(zap, "", 0, ZMQ_SNDMORE);
    zmq_send(zap, "", 0, 0);
}

// Lets in the one known key.
static void *guard_door(void *user) {
    struct door *door = user;
    while (!atomic_load(&door->stop)) {
        zmq_msg_t frames[ZAP_FRAMES_MAX];
        size_t n = 0;
        int more = 1;
        while (more && n < ZAP_FRAMES_MAX) {
            zmq_msg_init(&frames[n]);
            if (zmq_msg_recv(&frames[n], door->zap, 0) < 0) {
                zmq_msg_close(&frames[n]);
                break;
            }
            more = zmq_msg_more(&frames[n++]);
        }
        if (n == 7) {
            char text[KEY_TEXT] = "";
            bool is_key = zmq_msg_size(&frames[6]) == 32 &&
                          zmq_z85_encode(text, zmq_msg_data(&frames[6]), 32) != NULL;
            reply(door->zap, frames, is_key && strcmp(text, known_public) == 0);
        }
        for (size_t i = 0; i < n; i++) {
            zmq_msg_close(&frames[i]);
        }
    }
    return NULL;
}

static void door_open(struct door *door, enum endpoint_kind kind, bool with_keys) {
    *door = (struct door){.context = zmq_ctx_new()};
    int timeout_ms = PEER_WAIT_MS;
    int linger_ms = 0;
    int server = 1;
    door->zap = zmq_socket(door->context, ZMQ_REP);
    zmq_setsockopt(door->zap, ZMQ_RCVTIMEO, &timeout_ms, sizeof(timeout_ms));
    zmq_setsockopt(door->zap, ZMQ_LINGER, &linger_ms, sizeof(linger_ms));
    assert_int_equal(zmq_bind(door->zap, "inproc://zeromq.zap.01"), 0);
    assert_int_equal(pthread_create(&door->thread, NULL, guard_door, door), 0);
    door->socket = zmq_socket(door->context, ZMQ_ROUTER);
    zmq_setsockopt(door->socket, ZMQ_LINGER, &linger_ms, sizeof(linger_ms));
    if (with_keys) {
        zmq_setsockopt(door->socket, ZMQ_CURVE_SERVER, &server, sizeof(server));
        zmq_setsockopt(door->socket, ZMQ_CURVE_SECRETKEY, broker_secret, KEY_TEXT);
    }
    char bound[64];
    size_t size = sizeof(bound);
    assert_int_equal(zmq_bind(door->socket, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(zmq_getsockopt(door->socket, ZMQ_LAST_ENDPOINT, bound, &size), 0);
    long port = strtol(strrchr(bound, ':') + 1, NULL, 10);
    snprintf(door->broker, sizeof(door->broker), "127.0.0.1:%ld", port - (long)kind);
}

static void door_close(struct door *door) {
    atomic_store(&door->stop, true);
    assert_int_equal(pthread_join(door->thread, NULL), 0);
    zmq_close(door->socket);
    zmq_close(door->zap);
    zmq_ctx_term(door->context);
}

static uint32_t publisher_refused(const struct door *door, const char *key, const char *broker_key,
                                  const char **ret_detail) {
    touchbus_publisher *publisher;
    const touchbus_publisher_options options = {
        .broker = door->broker, .producer = "unit", .key = key, .broker_key = broker_key};
    assert_int_equal(touchbus_publisher_new(&options, &publisher), 0);
    uint32_t code = 0;
    for (int i = 0; code == 0 && i < TRIES_MAX; i++) {
        touchbus_publisher_run(publisher, PEER_WAIT_MS);
        code = touchbus_publisher_refusal(publisher, NULL, ret_detail, NULL);
    }
    touchbus_publisher_free(publisher);
    return code;
}

static void test_an_unknown_key_is_forbidden_for_all_three(void **state) {
    (void)state;
    struct door door;
    const char *key = path_of("unknown.key_secret");
    const char *broker_key = path_of("broker.key");
    const char *detail = "";
    door_open(&door, ENDPOINT_PUBLISH, true);
    assert_int_equal(publisher_refused(&door, key, broker_key, &detail), REASON_FORBIDDEN);
    assert_string_equal(detail, "the broker refuses this key");
    door_close(&door);

    touchbus_subscriber *subscriber;
    touchbus_event *event;
    door_open(&door, ENDPOINT_SUBSCRIBE, true);
    assert_int_equal(
        touchbus_subscriber_new(
            &(touchbus_subscriber_options){
                .broker = door.broker, .name = "unit", .key = key, .broker_key = broker_key},
            &subscriber),
        0);
    assert_int_equal(touchbus_subscriber_next(subscriber, PEER_WAIT_MS * TRIES_MAX, &event),
                     TOUCHBUS_REFUSED);
    assert_int_equal(touchbus_subscriber_refusal(subscriber, NULL, &detail, NULL),
                     REASON_FORBIDDEN);
    assert_string_equal(detail, "the broker refuses this key");
    touchbus_subscriber_free(subscriber);
    door_close(&door);

    touchbus_client *client;
    touchbus_answer *answer;
    door_open(&door, ENDPOINT_QUERY, true);
    assert_int_equal(
        touchbus_client_new(
            &(touchbus_client_options){.broker = door.broker, .key = key, .broker_key = broker_key},
            &client),
        0);
    assert_int_equal(touchbus_client_query(client, "status", NULL, 0, NULL, 0,
                                           PEER_WAIT_MS * TRIES_MAX, NULL, NULL, &answer),
                     -EACCES);
    assert_int_equal(touchbus_client_refusal(client, NULL, &detail, NULL), REASON_FORBIDDEN);
    touchbus_client_free(client);
    door_close(&door);
}

static void test_a_known_key_is_let_in_and_nothing_is_refused(void **state) {
    (void)state;
    struct door door;
    touchbus_publisher *publisher;
    door_open(&door, ENDPOINT_PUBLISH, true);
    const touchbus_publisher_options options = {.broker = door.broker,
                                                .producer = "unit",
                                                .key = path_of("known.key_secret"),
                                                .broker_key = path_of("broker.key")};
    assert_int_equal(touchbus_publisher_new(&options, &publisher), 0);
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    int r = -1;
    for (int i = 0; r < 0 && i < TRIES_MAX; i++) { // its hello
        touchbus_publisher_run(publisher, PEER_WAIT_MS);
        r = zmq_msg_recv(&frame, door.socket, ZMQ_DONTWAIT);
    }
    assert_true(r > 0);
    zmq_msg_close(&frame);
    assert_int_equal(touchbus_publisher_refusal(publisher, NULL, NULL, NULL), 0);
    touchbus_publisher_free(publisher);
    door_close(&door);
}

static void test_each_question_is_another_try(void **state) {
    (void)state;
    struct door door;
    touchbus_client *client;
    touchbus_answer *answer;
    char known[KEY_TEXT];
    door_open(&door, ENDPOINT_QUERY, true);
    memcpy(known, known_public, sizeof(known));
    memset(known_public, '0', KEY_TEXT - 1); // nobody's
    const touchbus_client_options options = {.broker = door.broker,
                                             .key = path_of("known.key_secret"),
                                             .broker_key = path_of("broker.key")};
    assert_int_equal(touchbus_client_new(&options, &client), 0);
    for (int i = 0; i < 2; i++) { // ZeroMQ itself gives up at the first
        assert_int_equal(touchbus_client_query(client, "status", NULL, 0, NULL, 0,
                                               PEER_WAIT_MS * TRIES_MAX, NULL, NULL, &answer),
                         -EACCES);
    }
    memcpy(known_public, known, sizeof(known));
    int timeout_ms = PEER_WAIT_MS;
    int r = -1;
    for (int i = 0; r < 0 && i < TRIES_MAX; i++) {
        touchbus_client_query(client, "status", NULL, 0, NULL, 0, 10 * timeout_ms, NULL, NULL,
                              &answer);
        r = zmq_recv(door.socket, known, sizeof(known), ZMQ_DONTWAIT);
    }
    assert_true(r > 0); // it came in
    assert_int_equal(touchbus_client_refusal(client, NULL, NULL, NULL), 0);
    touchbus_client_free(client);
    door_close(&door);
}

static void test_a_broker_with_another_key_is_named(void **state) {
    (void)state;
    struct door door;
    const char *detail = "";
    door_open(&door, ENDPOINT_PUBLISH, true);
    assert_int_equal(
        publisher_refused(&door, path_of("known.key_secret"), path_of("other.key"), &detail),
        REASON_UNAVAILABLE);
    assert_non_null(strstr(detail, "its key is not this broker-key"));
    door_close(&door);
}

static void test_one_side_with_keys_and_one_without_is_named(void **state) {
    (void)state;
    struct door door;
    const char *detail = "";
    door_open(&door, ENDPOINT_PUBLISH, true);
    // With or without a word: that is a race of the two sides, and both are said.
    assert_int_not_equal(publisher_refused(&door, NULL, NULL, &detail), 0);
    assert_non_null(strstr(detail, "want"));
    assert_non_null(strstr(detail, "a key"));
    door_close(&door);
    door_open(&door, ENDPOINT_PUBLISH, false);
    assert_int_not_equal(
        publisher_refused(&door, path_of("known.key_secret"), path_of("broker.key"), &detail), 0);
    assert_true(strstr(detail, "it has no keys") != NULL ||
                strstr(detail, "ends each handshake") != NULL);
    door_close(&door);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_keys_or_none),
        cmocka_unit_test(test_the_environment_stands_in),
        cmocka_unit_test(test_files_that_cannot_be_believed_are_named),
        cmocka_unit_test(test_a_reload_takes_other_keys_and_keeps_the_old_ones_where_it_cannot),
        cmocka_unit_test(test_an_unknown_key_is_forbidden_for_all_three),
        cmocka_unit_test(test_a_known_key_is_let_in_and_nothing_is_refused),
        cmocka_unit_test(test_each_question_is_another_try),
        cmocka_unit_test(test_a_broker_with_another_key_is_named),
        cmocka_unit_test(test_one_side_with_keys_and_one_without_is_named),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}

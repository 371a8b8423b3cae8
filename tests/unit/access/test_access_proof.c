// SPDX-License-Identifier: Apache-2.0
// The proof at start, against sockets of this process: our ZAP handler passes it, none and one that
// lets everybody in do not.
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "broker/access_internal.h"
#include "tests/unit/schemas/cmocka_all.h"

struct house {
    struct access access;
    void *server;
    char address[64];
};

// A CURVE server on ipc, in the file system's abstract name space: no port is taken.
static void open_house(struct house *house) {
    *house = (struct house){.access = {.zmq = zmq_ctx_new(), .stop = -1}};
    struct certificate *own = &house->access.own;
    assert_int_equal(zmq_curve_keypair(own->public_key, own->secret_key), 0);
    house->server = zmq_socket(house->access.zmq, ZMQ_ROUTER);
    assert_int_equal(access_guard_socket(&house->access, house->server), 0);
    snprintf(house->address, sizeof(house->address), "ipc://@touchbus-proof-%.12s",
             own->public_key);
    for (char *at = house->address + strlen("ipc://@touchbus-proof-"); *at != '\0'; at++) {
        *at = *at == '/' ? '_' : *at;
    }
    assert_int_equal(zmq_bind(house->server, house->address), 0);
}

static void close_house(struct house *house) {
    const int linger = 0;
    zmq_setsockopt(house->server, ZMQ_LINGER, &linger, sizeof(linger));
    zmq_close(house->server);
    zmq_ctx_term(house->access.zmq);
}

static void test_no_handler_at_all_is_found_out(void **state) {
    (void)state;
    struct house house;
    open_house(&house);
    assert_int_equal(access_prove(&house.access, house.address), -EACCES);
    close_house(&house);
}

static void *let_everybody_in(void *socket) {
    const char *answer[] = {"200", "OK", "anybody", ""};
    for (int i = 0; i < 2; i++) {
        char request[256];
        int n = 0, more = 1;
        size_t size = sizeof(more);
        for (int frame = 0; more; frame++) {
            char bytes[256];
            int got = zmq_recv(socket, bytes, sizeof(bytes), 0);
            if (got < 0) {
                return NULL;
            }
            if (frame == 1) {
                n = got;
                memcpy(request, bytes, (size_t)got);
            }
            zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size);
        }
        zmq_send(socket, "1.0", 3, ZMQ_SNDMORE);
        zmq_send(socket, request, (size_t)n, ZMQ_SNDMORE);
        for (int frame = 0; frame < 4; frame++) {
            zmq_send(socket, answer[frame], strlen(answer[frame]), frame < 3 ? ZMQ_SNDMORE : 0);
        }
    }
    return NULL;
}

static void test_a_handler_that_lets_everybody_in_is_found_out(void **state) {
    (void)state;
    const int wait_ms = 20000;
    struct house house;
    pthread_t thread;
    open_house(&house);
    void *zap = zmq_socket(house.access.zmq, ZMQ_REP);
    zmq_setsockopt(zap, ZMQ_RCVTIMEO, &wait_ms, sizeof(wait_ms));
    assert_int_equal(zmq_bind(zap, "inproc://zeromq.zap.01"), 0);
    assert_int_equal(pthread_create(&thread, NULL, let_everybody_in, zap), 0);
    assert_int_equal(access_prove(&house.access, house.address), -EACCES);
    pthread_join(thread, NULL);
    zmq_close(zap);
    close_house(&house);
}

static void test_ours_refuses_the_unknown_and_lets_in_the_known(void **state) {
    (void)state;
    struct house house;
    struct access_table table = {.n_holds = 2}; // nobody's key is in it; not to be freed
    open_house(&house);
    pthread_mutex_init(&house.access.lock, NULL);
    house.access.table = &table;
    house.access.stop = eventfd(0, EFD_CLOEXEC);
    assert_int_equal(access_zap_start(&house.access), 0);
    assert_int_equal(access_prove(&house.access, house.address), 0);
    assert_int_equal(atomic_load(&house.access.unknown), 0); // the proof's own is not counted
    access_zap_stop(&house.access);
    close(house.access.stop);
    pthread_mutex_destroy(&house.access.lock);
    close_house(&house);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_handler_at_all_is_found_out),
        cmocka_unit_test(test_a_handler_that_lets_everybody_in_is_found_out),
        cmocka_unit_test(test_ours_refuses_the_unknown_and_lets_in_the_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
// The proof at start: a stranger knocks at the socket that was just bound. With CURVE and no ZAP
// handler ZeroMQ lets every key in, and nothing would tell; so a key that nobody knows must be
// refused, and one that is known for this moment let in, before anything is served.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/access_internal.h"
#include "schemas/base/clock.h"
#include "schemas/base/logging.h"

enum {
    PROOF_MS_MAX = 10000, // for one handshake, on a busy machine
    MONITOR_EVENT_BYTES = 6,
};

enum verdict { VERDICT_NONE, VERDICT_IN, VERDICT_REFUSED };

static enum verdict read_verdict(void *monitor) {
    uint8_t head[MONITOR_EVENT_BYTES];
    char address[256];
    zmq_pollitem_t item = {.socket = monitor, .events = ZMQ_POLLIN};
    int64_t end_us = clock_monotonic_us() + PROOF_MS_MAX * CLOCK_US_PER_MS;
    while (clock_monotonic_us() < end_us) {
        if (zmq_poll(&item, 1, PROOF_MS_MAX) <= 0 ||
            zmq_recv(monitor, head, sizeof(head), ZMQ_DONTWAIT) != (int)sizeof(head)) {
            continue;
        }
        zmq_recv(monitor, address, sizeof(address), ZMQ_DONTWAIT);
        uint16_t event;
        memcpy(&event, head, sizeof(event));
        if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
            return VERDICT_IN;
        }
        if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) {
            return VERDICT_REFUSED;
        }
    }
    return VERDICT_NONE;
}

static bool set_keys(void *socket, const char *server, const char *public, const char *secret) {
    const size_t size = CERTIFICATE_KEY_CHARS + 1;
    const int linger = 0;
    return zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof(linger)) == 0 &&
           zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, server, size) == 0 &&
           zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, public, size) == 0 &&
           zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, secret, size) == 0;
}

static enum verdict knock(struct access *access, const char *address, const char *public,
                          const char *secret) {
    // A name of its own each time: ZeroMQ lets go of the last one in its own time.
    char endpoint[64];
    snprintf(endpoint, sizeof(endpoint), "inproc://access-proof-%.8s", public);
    const int on = 1;
    enum verdict verdict = VERDICT_NONE;
    void *socket = zmq_socket(access->zmq, ZMQ_DEALER);
    void *monitor = zmq_socket(access->zmq, ZMQ_PAIR);
    if (socket != NULL && monitor != NULL &&
        zmq_setsockopt(socket, ZMQ_IPV6, &on, sizeof(on)) == 0 &&
        set_keys(socket, access->own.public_key, public, secret) &&
        zmq_socket_monitor(socket, endpoint,
                           ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) == 0 &&
        zmq_connect(monitor, endpoint) == 0 && zmq_connect(socket, address) == 0) {
        verdict = read_verdict(monitor);
    }
    if (socket != NULL) {
        zmq_socket_monitor(socket, NULL, 0);
        zmq_close(socket);
    }
    if (monitor != NULL) {
        zmq_close(monitor);
    }
    return verdict;
}

int access_prove(struct access *access, const char *address) {
    char secret[CERTIFICATE_KEY_CHARS + 1], unknown[CERTIFICATE_KEY_CHARS + 1],
        unknown_secret[CERTIFICATE_KEY_CHARS + 1];
    if (!access_has_keys(access)) {
        return 0;
    }
    if (zmq_curve_keypair(access->proof_key, secret) != 0 ||
        zmq_curve_keypair(unknown, unknown_secret) != 0) {
        return -errno;
    }
    atomic_store(&access->proving, true);
    enum verdict stranger = knock(access, address, unknown, unknown_secret);
    enum verdict friend = knock(access, address, access->proof_key, secret);
    atomic_store(&access->proving, false);
    if (stranger == VERDICT_REFUSED && friend == VERDICT_IN) {
        logging_debug("event=access-proved address=%s", address);
        return 0;
    }
    logging_error("event=access-unproved address=%s unknown_key=%s known_key=%s "
                  "hint=\"the broker does not serve where anybody could get in\"",
                  address, stranger == VERDICT_REFUSED ? "refused" : "not-refused",
                  friend == VERDICT_IN ? "let-in" : "not-let-in");
    return -EACCES;
}

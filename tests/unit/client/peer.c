// SPDX-License-Identifier: Apache-2.0
// The ROUTER of peer.h.
#include "peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void peer_bind(struct peer *peer, const char *where) {
    peer->socket = zmq_socket(peer->context, ZMQ_ROUTER);
    assert_non_null(peer->socket);
    int linger_ms = 0;
    int timeout_ms = PEER_WAIT_MS;
    zmq_setsockopt(peer->socket, ZMQ_LINGER, &linger_ms, sizeof(linger_ms));
    zmq_setsockopt(peer->socket, ZMQ_RCVTIMEO, &timeout_ms, sizeof(timeout_ms));
    int r = zmq_bind(peer->socket, where);
    for (int i = 0; r != 0 && i < PEER_PATIENCE; i++) { // the old socket closes in the background
        zmq_poll(NULL, 0, PEER_WAIT_MS);
        r = zmq_bind(peer->socket, where);
    }
    assert_int_equal(r, 0);
}

void peer_open(struct peer *peer, enum endpoint_kind kind) {
    memset(peer, 0, sizeof(*peer));
    peer->context = zmq_ctx_new();
    assert_non_null(peer->context);
    zmq_msg_init(&peer->identity);
    peer_bind(peer, "tcp://127.0.0.1:*");
    size_t size = sizeof(peer->bound);
    assert_int_equal(zmq_getsockopt(peer->socket, ZMQ_LAST_ENDPOINT, peer->bound, &size), 0);
    long port = strtol(strrchr(peer->bound, ':') + 1, NULL, 10);
    snprintf(peer->broker, sizeof(peer->broker), "127.0.0.1:%ld", port - (long)kind);
}

void peer_cut(struct peer *peer) {
    zmq_close(peer->socket);
    peer_bind(peer, peer->bound);
}

static void forget_message(struct peer *peer) {
    if (peer->message != NULL) {
        protobuf_c_message_free_unpacked(peer->message, NULL);
    }
    peer->message = NULL;
}

void peer_close(struct peer *peer) {
    forget_message(peer);
    zmq_msg_close(&peer->identity);
    zmq_close(peer->socket);
    zmq_ctx_term(peer->context);
}

ProtobufCMessage *peer_receive(struct peer *peer, const ProtobufCMessageDescriptor *descriptor) {
    forget_message(peer);
    if (zmq_msg_recv(&peer->identity, peer->socket, 0) < 0) {
        return NULL;
    }
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    assert_true(zmq_msg_recv(&frame, peer->socket, 0) >= 0);
    peer->message =
        protobuf_c_message_unpack(descriptor, NULL, zmq_msg_size(&frame), zmq_msg_data(&frame));
    assert_non_null(peer->message);
    assert_false(zmq_msg_more(&frame));
    zmq_msg_close(&frame);
    return peer->message;
}

void peer_send(struct peer *peer, const ProtobufCMessage *message) {
    zmq_msg_t identity, frame;
    zmq_msg_init(&identity);
    zmq_msg_copy(&identity, &peer->identity);
    assert_int_equal(zmq_msg_init_size(&frame, protobuf_c_message_get_packed_size(message)), 0);
    protobuf_c_message_pack(message, zmq_msg_data(&frame));
    assert_true(zmq_msg_send(&identity, peer->socket, ZMQ_SNDMORE) >= 0);
    assert_true(zmq_msg_send(&frame, peer->socket, 0) >= 0);
}

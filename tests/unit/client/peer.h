// SPDX-License-Identifier: Apache-2.0
// The other side of a socket, in the test's own thread: a ROUTER on a free port of loopback that
// receives and sends messages of the wire as the test says.
#pragma once

#include <zmq.h>

#include "connectors/client/endpoint.h"
#include "connectors/client/touchbus.h"
#include "touchbus.pb-c.h"

enum { PEER_WAIT_MS = 10, PEER_PATIENCE = 1000 };

struct peer {
    void *context;
    void *socket;
    char bound[64];  // to bind again after peer_unbind
    char broker[64]; // what the library under test is told
    zmq_msg_t identity;
    ProtobufCMessage *message; // the last one received
};

// An asserting helper: fails the test where something does not work.
void peer_open(struct peer *peer, enum endpoint_kind kind);
void peer_close(struct peer *peer);
// The next message within PEER_WAIT_MS, owned by the peer until the next call; NULL: none.
ProtobufCMessage *peer_receive(struct peer *peer, const ProtobufCMessageDescriptor *descriptor);
// To whoever sent last.
void peer_send(struct peer *peer, const ProtobufCMessage *message);
// Ends every connection, and takes new ones again.
void peer_cut(struct peer *peer);

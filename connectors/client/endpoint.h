// SPDX-License-Identifier: Apache-2.0
// Where a broker is, as people write it, and a ZeroMQ socket to one of its three endpoints. All
// handles of a process share one ZeroMQ context, which lives as long as any of them.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connectors/client/handshake.h"
#include "connectors/client/keys.h"

enum endpoint_kind { ENDPOINT_PUBLISH, ENDPOINT_SUBSCRIBE, ENDPOINT_QUERY };
enum { ENDPOINT_BYTES_MAX = 300 };

// HOST:PORT ([ADDRESS]:PORT for IPv6; PORT is the publish endpoint's, the others are the next
// ones), HOST alone, or ipc://PATH (PATH/publish, PATH/subscribe, PATH/query). NULL or "": the
// environment variable TOUCHBUS_BROKER, else 127.0.0.1:7400. 0 or -EINVAL.
int endpoint_format(const char *broker, enum endpoint_kind kind,
                    char ret[static ENDPOINT_BYTES_MAX]);

struct endpoint_options {
    const struct keys *keys;     // CURVE, where they are present
    struct handshake *handshake; // learns what becomes of the handshakes
    int hwm;                     // messages either way, at least what the protocol's credit allows
    bool again; // it reconnects by itself, with back-off; else one connection is all there is, and
                // a socket that was writable and is not any more has lost it
};

// A DEALER that connects in the background: heartbeats, no linger, nothing queued while there is no
// connection. options are borrowed for the call, the handshake until the socket is closed. 0;
// negative errno.
int endpoint_connect(const char *endpoint, const struct endpoint_options *options,
                     void **ret_socket);
// For a socket whose handshake was refused: ZeroMQ makes no further try by itself. The same socket.
int endpoint_connect_again(void *socket, const char *endpoint);
// Takes NULL; returns NULL.
void *endpoint_close(void *socket, struct handshake *handshake);

// Whether a connection stands: with ZMQ_IMMEDIATE a socket takes messages only then.
bool endpoint_writable(void *socket);
// Waits until something can be read. 1, or 0 at the time-out.
int endpoint_wait(void *socket, int timeout_ms);
// Until a message can be sent, or the time is over.
void endpoint_wait_connected(void *socket, int timeout_ms);

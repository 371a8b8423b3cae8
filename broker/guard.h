// SPDX-License-Identifier: Apache-2.0
// The guard: cuts off connections that fill ZeroMQ's memory. A socket hands over a message when all
// of its frames are there, so a peer that never ends one makes the process grow unseen
// (ZMQ_MAXMSGSIZE bounds a frame only). The kernel counts what came in on a connection, the
// endpoints tell what they took; where the difference is beyond what the queues may hold, the
// connection is reset. With keys it bounds the connections of each, too, and counts handshakes that
// fail. tcp only: ipc peers are this user's own.
#pragma once

#include <stddef.h>
#include <zmq.h>

#include "broker/broker.h"

struct guard;

// GUARD_CONNECTION_BYTES_MAX: more than a peer's queue of full frames (GUARD_QUEUE_FRAMES) can be.
// GUARD_ALL_BYTES_MAX: of all connections together; beyond it the one that holds most goes, as it
// does where the process itself has grown beyond its bound (a frame of one byte costs ZeroMQ 64).
enum {
    GUARD_QUEUE_FRAMES = 16, // requests of one peer that ZeroMQ may hold (ZMQ_RCVHWM)
    GUARD_CONNECTION_BYTES_MAX = 72 << 20,
    GUARD_ALL_BYTES_MAX = 256 << 20,
    GUARD_MEMORY_BYTES = 512 << 20,   // anonymous memory of the process, beside the window of ids
    GUARD_HOLDS_MUCH_BYTES = 8 << 20, // a connection below this is not what fills the memory
    GUARD_KEY_CONNECTIONS_MAX = 64,   // of one key, at all sockets together; the newest goes
    GUARD_SILENT_MAX = 1024,          // connections that have not said anything; with keys
    GUARD_SOCKETS_MAX = 8,
    GUARD_INTERVAL_MS = 250, // between two looks, while there are connections
};

// NULL where memory is short. The broker is borrowed, its ZeroMQ context made. memory_max: bytes of
// anonymous memory, beside what the view waits with, beyond which connections are cut.
// descriptor_max: a connection with this descriptor or a higher one is cut at once, so that some
// are always left.
struct guard *guard_new(struct broker *broker, size_t memory_max, int descriptor_max);
struct guard *guard_free(struct guard *guard); // after its thread was joined; takes NULL
// Watches a listening socket, before it is bound. On the socket's thread, before the guard runs.
// 0, or a negative errno. Without a guard (NULL) this and guard_taken do nothing.
int guard_watch(struct guard *guard, void *socket);
// A frame was taken off a watched socket, on any thread. frame: as received.
void guard_taken(struct guard *guard, zmq_msg_t *frame);
// The thread's body, for pthread_create, until guard_stop.
void *guard_run(void *guard);
void guard_stop(struct guard *guard); // any thread

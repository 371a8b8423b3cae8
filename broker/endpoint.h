// SPDX-License-Identifier: Apache-2.0
// The three sockets clients connect to differ in their port, their name and how much they may hold;
// everything else about them is here.
#pragma once

#include "broker/broker.h"

// Questions have one of their own, which may be urgent without publishing being so.
enum { IO_THREAD_EVENTS, IO_THREAD_QUERY, IO_THREADS };
#define IO_THREAD_QUERY_NAME "ZMQbg/IO/1" // as ZeroMQ names it

struct endpoint {
    const char *name;       // publish, subscribe, query: the ipc socket's name in the state folder
    int port_offset;        // from --port
    int io_thread;          // of ZeroMQ's, which carries its connections
    int receive_frames_max; // from one peer that ZeroMQ holds
    int send_frames_max;    // towards one peer
    int linger_ms;          // what unsent replies get at the end
    int heartbeat_ms, heartbeat_timeout_ms;
};

// Opens a ROUTER with ROUTER_MANDATORY and bounds, has the guard watch it, binds tcp://BIND:PORT
// and ipc://STATE/NAME. With keys it takes known ones only, which is proved before it returns
// (access.h). A state folder with a long path has no ipc endpoint, which is logged; tcp
// is always there. 0 and *ret, which the caller closes; a negative errno after one log line.
int endpoint_open(struct broker *broker, const struct endpoint *endpoint, void **ret);

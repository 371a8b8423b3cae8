// SPDX-License-Identifier: Apache-2.0
// One way to open a socket for strangers: bounded before it is bound.
#include "broker/endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <zmq.h>

#include "broker/access.h"
#include "broker/guard.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"
#include "schemas/limits.h"

enum { HANDSHAKE_MS = 3000, CONNECTIONS_WAITING_MAX = 256, TCP_BYTES_MAX = 300 };
enum { REACHABLE_BYTES_MAX = TCP_BYTES_MAX + 32 };

static int set_options(void *socket, const struct endpoint *endpoint) {
    const struct {
        int name, value;
    } rows[] = {
        {ZMQ_ROUTER_MANDATORY, 1},
        {ZMQ_HANDSHAKE_IVL, GUARD(half_handshake) ? HANDSHAKE_MS : 0},
        {ZMQ_HEARTBEAT_IVL, endpoint->heartbeat_ms},
        {ZMQ_HEARTBEAT_TIMEOUT, endpoint->heartbeat_timeout_ms},
        {ZMQ_LINGER, endpoint->linger_ms},
        {ZMQ_RCVHWM, endpoint->receive_frames_max},
        {ZMQ_SNDHWM, endpoint->send_frames_max},
        {ZMQ_BACKLOG, CONNECTIONS_WAITING_MAX},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (zmq_setsockopt(socket, rows[i].name, &rows[i].value, sizeof(rows[i].value)) != 0) {
            return -errno;
        }
    }
    uint64_t io_threads = UINT64_C(1) << endpoint->io_thread;
    if (zmq_setsockopt(socket, ZMQ_AFFINITY, &io_threads, sizeof(io_threads)) != 0) {
        return -errno;
    }
    int64_t frame_max = GUARD(socket_frame_size) ? FRAME_BYTES_MAX : -1;
    return zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &frame_max, sizeof(frame_max)) == 0 ? 0 : -errno;
}

static int bind_one(void *socket, const char *address) {
    if (zmq_bind(socket, address) == 0) {
        return 0;
    }
    int error = errno;
    logging_error("event=bind-failed endpoint=%s error=\"%s\"", address, zmq_strerror(error));
    return -error;
}

static int bind_tcp(void *socket, const struct endpoint *endpoint,
                    const struct configuration *configuration) {
    char address[TCP_BYTES_MAX];
    bool v6 = strchr(configuration->bind, ':') != NULL;
    int on = 1;
    if (v6 && zmq_setsockopt(socket, ZMQ_IPV6, &on, sizeof(on)) != 0) {
        return -errno;
    }
    snprintf(address, sizeof(address), v6 ? "tcp://[%s]:%d" : "tcp://%s:%d", configuration->bind,
             (int)configuration->port + endpoint->port_offset);
    return bind_one(socket, address);
}

static int bind_ipc(void *socket, const struct endpoint *endpoint,
                    const struct configuration *configuration) {
    char address[sizeof(((struct sockaddr_un *)0)->sun_path) + 6];
    int n = snprintf(address, sizeof(address), "ipc://%s/%s", configuration->state, endpoint->name);
    if (n < 0 || (size_t)n >= sizeof(address)) {
        logging_warning("event=no-ipc endpoint=%s reason=path-too-long", endpoint->name);
        return 0;
    }
    return bind_one(socket, address);
}

// The address that was bound, as somebody on this machine connects to it.
static void reachable(void *socket, char ret[static REACHABLE_BYTES_MAX]) {
    static const struct {
        const char *any, *loopback;
    } rows[] = {{"tcp://0.0.0.0:", "tcp://127.0.0.1:"}, {"tcp://[::]:", "tcp://[::1]:"}};
    char bound[TCP_BYTES_MAX] = "";
    size_t size = sizeof(bound);
    zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, bound, &size);
    snprintf(ret, REACHABLE_BYTES_MAX, "%s", bound);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t n = strlen(rows[i].any);
        if (strncmp(bound, rows[i].any, n) == 0) {
            snprintf(ret, REACHABLE_BYTES_MAX, "%s%s", rows[i].loopback, bound + n);
        }
    }
}

static int prove(struct broker *broker, void *socket) {
    char address[REACHABLE_BYTES_MAX];
    reachable(socket, address);
    return access_prove(broker->access, address);
}

int endpoint_open(struct broker *broker, const struct endpoint *endpoint, void **ret) {
    void *socket = zmq_socket(broker->zmq, ZMQ_ROUTER);
    int r = socket == NULL ? -errno : set_options(socket, endpoint);
    r = r != 0 ? r : guard_watch(broker->guard, socket);
    r = r != 0 ? r : access_guard_socket(broker->access, socket);
    r = r != 0 ? r : bind_tcp(socket, endpoint, &broker->configuration);
    r = r != 0 ? r : prove(broker, socket);
    r = r != 0 ? r : bind_ipc(socket, endpoint, &broker->configuration);
    if (r != 0 && socket != NULL) {
        zmq_close(socket);
    }
    if (r == 0) {
        *ret = socket;
    }
    return r;
}

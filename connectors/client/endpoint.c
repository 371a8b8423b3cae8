// SPDX-License-Identifier: Apache-2.0
// Addresses and sockets. Sends never block here or elsewhere: a socket without a connection refuses
// (ZMQ_IMMEDIATE), which is how the state machines above learn that they must send again.
#include "connectors/client/endpoint.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "schemas/base/scheduling.h"
#include "schemas/limits.h"

enum {
    HEARTBEAT_IVL_MS = 2000,
    HEARTBEAT_TIMEOUT_MS = 6000,
    PORT_MAX = 65535 - ENDPOINT_QUERY,
    HOST_BYTES_MAX = 255,
};

static const char *const ipc_names[] = {
    [ENDPOINT_PUBLISH] = "publish",
    [ENDPOINT_SUBSCRIBE] = "subscribe",
    [ENDPOINT_QUERY] = "query",
};

static bool host_acceptable(const char *host, size_t length, bool bracketed) {
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)host[i];
        if (!isalnum(c) && c != '.' && c != '-' && c != '_' &&
            !(bracketed && (c == ':' || c == '%'))) {
            return false;
        }
    }
    return length > 0 && length <= HOST_BYTES_MAX;
}

int endpoint_format(const char *broker, enum endpoint_kind kind,
                    char ret[static ENDPOINT_BYTES_MAX]) {
    if (broker == NULL || broker[0] == '\0') {
        broker = getenv("TOUCHBUS_BROKER");
        broker = broker == NULL || broker[0] == '\0' ? "127.0.0.1" : broker;
    }
    if (strncmp(broker, "ipc://", 6) == 0) {
        int n = snprintf(ret, ENDPOINT_BYTES_MAX, "%s/%s", broker, ipc_names[kind]);
        return broker[6] == '\0' || n < 0 || n >= ENDPOINT_BYTES_MAX ? -EINVAL : 0;
    }
    bool bracketed = broker[0] == '[';
    const char *host = bracketed ? broker + 1 : broker;
    size_t length = strcspn(host, bracketed ? "]" : ":");
    const char *rest = host + length;
    if (bracketed) {
        if (*rest != ']') {
            return -EINVAL;
        }
        rest++;
    }
    long port = PORT_DEFAULT;
    if (*rest != '\0') {
        char *end;
        errno = 0;
        port = strtol(rest + 1, &end, 10);
        if (*rest != ':' || !isdigit((unsigned char)rest[1]) || errno != 0 || *end != '\0') {
            return -EINVAL;
        }
    }
    if (!host_acceptable(host, length, bracketed) || port < 1 || port > PORT_MAX) {
        return -EINVAL;
    }
    int n = snprintf(ret, ENDPOINT_BYTES_MAX, bracketed ? "tcp://[%.*s]:%ld" : "tcp://%.*s:%ld",
                     (int)length, host, port + (long)kind);
    return n < 0 || n >= ENDPOINT_BYTES_MAX ? -EINVAL : 0;
}

// ---- the shared context

static pthread_mutex_t context_lock = PTHREAD_MUTEX_INITIALIZER;
static void *context;
static unsigned n_sockets;

// ZeroMQ starts its threads with a context's first socket.
static void *start_threads(void *shared) {
    scheduling_prompt();
    void *socket = zmq_socket(shared, ZMQ_DEALER);
    if (socket != NULL) {
        zmq_close(socket);
    }
    return NULL;
}

// What those threads carry somebody waits for. They take after who starts them, and the caller's
// own share of the processor is the caller's business: so a thread of our own does.
static void make_prompt(void *shared) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, start_threads, shared) == 0) {
        pthread_join(thread, NULL);
    }
}

static void *context_acquire(void) {
    pthread_mutex_lock(&context_lock);
    if (context == NULL) {
        context = zmq_ctx_new();
        if (context != NULL) {
            zmq_ctx_set(context, ZMQ_BLOCKY, 0);
            make_prompt(context);
        }
    }
    if (context != NULL) {
        n_sockets++;
    }
    void *result = context;
    pthread_mutex_unlock(&context_lock);
    return result;
}

static void context_release(void) {
    pthread_mutex_lock(&context_lock);
    assert(n_sockets > 0);
    n_sockets--;
    void *last = n_sockets == 0 ? context : NULL;
    if (last != NULL) {
        context = NULL;
    }
    pthread_mutex_unlock(&context_lock);
    if (last != NULL) {
        while (zmq_ctx_term(last) != 0 && errno == EINTR) {
        }
    }
}

// ---- sockets

static int set_options(void *socket, bool ipv6, int hwm, bool again) {
    const struct {
        int option;
        int value;
    } options[] = {
        {ZMQ_LINGER, 0},
        {ZMQ_IMMEDIATE, 1},
        {ZMQ_SNDHWM, hwm},
        {ZMQ_RCVHWM, hwm},
        {ZMQ_RECONNECT_IVL, again ? RECONNECT_MS_MIN : -1},
        {ZMQ_RECONNECT_IVL_MAX, RECONNECT_MS_MAX},
        {ZMQ_HEARTBEAT_IVL, HEARTBEAT_IVL_MS},
        {ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS},
        {ZMQ_HEARTBEAT_TTL, HEARTBEAT_TIMEOUT_MS},
        {ZMQ_IPV6, ipv6},
    };
    for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
        if (zmq_setsockopt(socket, options[i].option, &options[i].value, sizeof(int)) != 0) {
            return -errno;
        }
    }
    int64_t frame_bytes_max = FRAME_BYTES_MAX;
    return zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &frame_bytes_max, sizeof(frame_bytes_max)) != 0
               ? -errno
               : 0;
}

static int set_keys(void *socket, const struct keys *keys) {
    const struct {
        int option;
        const char *value;
    } options[] = {
        {ZMQ_CURVE_SERVERKEY, keys->server},
        {ZMQ_CURVE_PUBLICKEY, keys->own.public_key},
        {ZMQ_CURVE_SECRETKEY, keys->own.secret_key},
    };
    for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
        if (zmq_setsockopt(socket, options[i].option, options[i].value,
                           CERTIFICATE_KEY_CHARS + 1) != 0) {
            return -errno;
        }
    }
    return 0;
}

int endpoint_connect(const char *endpoint, const struct endpoint_options *options,
                     void **ret_socket) {
    void *shared = context_acquire();
    if (shared == NULL) {
        return -ENOMEM;
    }
    void *socket = zmq_socket(shared, ZMQ_DEALER);
    if (socket == NULL) {
        int error = errno;
        context_release();
        return -error;
    }
    bool with_keys = keys_present(options->keys);
    int r = set_options(socket, strchr(endpoint, '[') != NULL, options->hwm, options->again);
    r = r == 0 && with_keys ? set_keys(socket, options->keys) : r;
    if (r == 0) {
        handshake_watch(options->handshake, shared, socket, with_keys);
        r = zmq_connect(socket, endpoint) != 0 ? -errno : 0;
    }
    if (r != 0) {
        endpoint_close(socket, options->handshake);
        return r;
    }
    *ret_socket = socket;
    return 0;
}

int endpoint_connect_again(void *socket, const char *endpoint) {
    // The one that was refused is still listed, and would make this one a double.
    if (zmq_disconnect(socket, endpoint) != 0 && errno != ENOENT) {
        return -errno;
    }
    return zmq_connect(socket, endpoint) != 0 ? -errno : 0;
}

void *endpoint_close(void *socket, struct handshake *handshake) {
    if (socket != NULL) {
        handshake_unwatch(handshake);
        zmq_close(socket);
        context_release();
    }
    return NULL;
}

bool endpoint_writable(void *socket) {
    int events = 0;
    size_t size = sizeof(events);
    return zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size) == 0 && (events & ZMQ_POLLOUT) != 0;
}

int endpoint_wait(void *socket, int timeout_ms) {
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
    return zmq_poll(&item, 1, timeout_ms) > 0 ? 1 : 0;
}

void endpoint_wait_connected(void *socket, int timeout_ms) {
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLOUT};
    zmq_poll(&item, 1, timeout_ms);
}

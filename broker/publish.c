// SPDX-License-Identifier: Apache-2.0
// One frame is one PublishRequest. Whatever else comes (more frames, other bytes) gets a typed
// refusal with request 0 where the request's own number could not be read.
#include "broker/publish.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <zmq.h>

#include "broker/guard.h"
#include "schemas/base/logging.h"
#include "schemas/base/utf8.h"
#include "schemas/envelope.h"
#include "schemas/limits.h"
#include "schemas/reasons.h"

enum {
    PUBLISH_BAD_MAX = 64,      // malformed messages answered in one call
    PUBLISH_REPLIES_MAX = 256, // towards one peer that ZeroMQ holds
    HANDSHAKE_MS = 3000,
    HEARTBEAT_MS = 5000,
    HEARTBEAT_TIMEOUT_MS = 20000,
    LINGER_MS = 1000,
    CONNECTIONS_WAITING_MAX = 256,
};

struct publish {
    struct broker *broker;
    void *socket;
};

static int set_options(void *socket) {
    static const struct {
        int name, value;
    } rows[] = {
        {ZMQ_ROUTER_MANDATORY, 1},         {ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS},
        {ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS}, {ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS},
        {ZMQ_LINGER, LINGER_MS},           {ZMQ_RCVHWM, GUARD_QUEUE_FRAMES},
        {ZMQ_SNDHWM, PUBLISH_REPLIES_MAX}, {ZMQ_BACKLOG, CONNECTIONS_WAITING_MAX},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (zmq_setsockopt(socket, rows[i].name, &rows[i].value, sizeof(rows[i].value)) != 0) {
            return -errno;
        }
    }
    int64_t frame_max = FRAME_BYTES_MAX;
    return zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &frame_max, sizeof(frame_max)) == 0 ? 0 : -errno;
}

static int bind_tcp(void *socket, const struct configuration *configuration) {
    char endpoint[128];
    bool v6 = strchr(configuration->bind, ':') != NULL;
    int on = 1;
    if (v6 && zmq_setsockopt(socket, ZMQ_IPV6, &on, sizeof(on)) != 0) {
        return -errno;
    }
    snprintf(endpoint, sizeof(endpoint), v6 ? "tcp://[%s]:%d" : "tcp://%s:%d", configuration->bind,
             (int)configuration->port);
    if (zmq_bind(socket, endpoint) != 0) {
        int error = errno;
        logging_error("event=bind-failed endpoint=%s error=\"%s\"", endpoint, zmq_strerror(error));
        return -error;
    }
    return 0;
}

// A state folder with a long path has no ipc endpoint; tcp is always there.
static int bind_ipc(void *socket, const struct configuration *configuration) {
    char endpoint[sizeof(((struct sockaddr_un *)0)->sun_path) + 6];
    int n = snprintf(endpoint, sizeof(endpoint), "ipc://%s/publish", configuration->state);
    if (n < 0 || (size_t)n >= sizeof(endpoint)) {
        logging_warning("event=no-ipc reason=path-too-long");
        return 0;
    }
    if (zmq_bind(socket, endpoint) != 0) {
        int error = errno;
        logging_error("event=bind-failed endpoint=%s error=\"%s\"", endpoint, zmq_strerror(error));
        return -error;
    }
    return 0;
}

int publish_new(struct broker *broker, struct publish **ret) {
    struct publish *publish = calloc(1, sizeof(*publish));
    if (publish == NULL) {
        return -ENOMEM;
    }
    publish->broker = broker;
    publish->socket = zmq_socket(broker->zmq, ZMQ_ROUTER);
    int r = publish->socket == NULL ? -errno : set_options(publish->socket);
    r = r != 0 ? r : guard_watch(broker->guard, publish->socket);
    r = r != 0 ? r : bind_tcp(publish->socket, &broker->configuration);
    r = r != 0 ? r : bind_ipc(publish->socket, &broker->configuration);
    if (r != 0) {
        publish_free(publish);
        return r;
    }
    *ret = publish;
    return 0;
}

struct publish *publish_free(struct publish *publish) {
    if (publish != NULL) {
        if (publish->socket != NULL) {
            zmq_close(publish->socket);
        }
        free(publish);
    }
    return NULL;
}

void *publish_socket(struct publish *publish) {
    return publish->socket;
}

// Receives the frames of one message: the peer, one body, and anything behind it, which is only
// counted. 0, 1 nothing waits, or a negative errno.
static int receive_frames(struct publish *publish, struct request *request, zmq_msg_t *body,
                          unsigned *ret_n_frames) {
    void *socket = publish->socket;
    int n = zmq_recv(socket, request->peer, sizeof(request->peer), ZMQ_DONTWAIT);
    if (n < 0) {
        return errno == EAGAIN || errno == EINTR ? 1 : -errno;
    }
    assert((size_t)n <= sizeof(request->peer)); // ZeroMQ: a routing id has at most 255 bytes
    request->peer_size = (size_t)n;
    unsigned n_frames = 0;
    int more = 1;
    size_t more_size = sizeof(more);
    // ZeroMQ hands a message over when all of it is there, so this ends without waiting.
    while (zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &more_size) == 0 && more != 0) {
        zmq_msg_t frame;
        zmq_msg_init(&frame);
        zmq_msg_t *to = n_frames == 0 ? body : &frame;
        if (zmq_msg_recv(to, socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&frame);
            return -errno;
        }
        guard_taken(publish->broker->guard, to);
        zmq_msg_close(&frame);
        n_frames++;
    }
    *ret_n_frames = n_frames;
    return 0;
}

// What the envelope's scan does not know about a request.
static int check_request(const Touchbus__PublishRequest *message, const char **ret_why) {
    size_t size = strlen(message->producer);
    if (message->n_events > REQUEST_EVENTS_MAX) {
        *ret_why = "too many events in one request";
        return REASON_TOO_LARGE;
    }
    if (size > NAME_BYTES_MAX || !utf8_check_printable(message->producer, size)) {
        *ret_why = "producer is too long or holds control characters";
        return REASON_BAD_ARGUMENT;
    }
    if (size > 0 && message->n_events > 0 &&
        (message->number == 0 || message->number > INT64_MAX - REQUEST_EVENTS_MAX)) {
        *ret_why = "number is out of range";
        return REASON_BAD_ARGUMENT;
    }
    return 0;
}

// A varint's value at *at; 0 and *at at end where there is none.
static uint64_t peek_varint(const uint8_t **at, const uint8_t *end) {
    uint64_t value = 0;
    for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
        uint8_t byte = *(*at)++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            return value;
        }
    }
    *at = end;
    return 0;
}

// The request's number out of a frame that was refused, so that its sender knows which one it was:
// only where version and request stand in front, as every encoder writes them.
static uint64_t peek_request(const uint8_t *data, size_t size) {
    enum { TAG_VERSION = 1 << 3, TAG_REQUEST = 2 << 3 };
    const uint8_t *at = data;
    const uint8_t *end = data + size;
    if (at < end && *at++ == TAG_VERSION) {
        peek_varint(&at, end);
        if (at < end && *at++ == TAG_REQUEST) {
            return peek_varint(&at, end);
        }
    }
    return 0;
}

static int read_request(struct request *request, zmq_msg_t *body, unsigned n_frames,
                        struct arena *arena) {
    const char *why = "";
    int code = REASON_BAD_FRAME;
    touchbus__publish_reply__init(&request->reply);
    request->bytes = zmq_msg_size(body);
    if (n_frames != 1) {
        why = "a request is one frame";
    } else {
        ProtobufCMessage *message = NULL;
        code = envelope_unpack(&touchbus__publish_request__descriptor, zmq_msg_data(body),
                               zmq_msg_size(body), arena, &message, &why);
        request->message = (const Touchbus__PublishRequest *)message;
        request->reply.request = peek_request(zmq_msg_data(body), zmq_msg_size(body));
    }
    if (code == 0) {
        request->reply.request = request->message->request;
        request->reply.number = request->message->number;
        code = check_request(request->message, &why);
    }
    if (code != 0) {
        request->reply.code = (uint32_t)code;
        request->reply.detail = arena_strdup(arena, why);
    }
    return request->reply.detail == NULL ? -ENOMEM : code;
}

int publish_receive(struct publish *publish, struct arena *arena, struct request **ret) {
    struct request *request = arena_calloc(arena, 1, sizeof(*request));
    if (request == NULL) {
        return -ENOMEM;
    }
    for (unsigned i = 0; i < PUBLISH_BAD_MAX; i++) {
        zmq_msg_t body;
        unsigned n_frames = 0;
        zmq_msg_init(&body);
        int r = receive_frames(publish, request, &body, &n_frames);
        if (r == 0) {
            r = read_request(request, &body, n_frames, arena);
        } else if (r == 1) {
            r = -EAGAIN;
        }
        zmq_msg_close(&body);
        if (r <= 0) {
            *ret = r == 0 ? request : NULL;
            return r == -EAGAIN ? 1 : r;
        }
        atomic_fetch_add(&publish->broker->counters.bad_frames, 1);
        publish_reply(publish, arena, request);
    }
    return 1;
}

void publish_reply(struct publish *publish, struct arena *arena, struct request *request) {
    static uint8_t incarnation[INCARNATION_BYTES];
    memcpy(incarnation, log_incarnation(publish->broker->log), sizeof(incarnation));
    Touchbus__PublishReply *reply = &request->reply;
    reply->version = WIRE_VERSION;
    reply->incarnation = (ProtobufCBinaryData){.len = sizeof(incarnation), .data = incarnation};
    reply->credit = PUBLISH_CREDIT;
    const uint8_t *bytes;
    size_t size;
    if (envelope_pack(&reply->base, arena, &bytes, &size) != 0 ||
        zmq_send(publish->socket, request->peer, request->peer_size, ZMQ_DONTWAIT | ZMQ_SNDMORE) <
            0 ||
        zmq_send(publish->socket, bytes, size, ZMQ_DONTWAIT) < 0) {
        logging_debug("event=reply-lost error=\"%s\"", zmq_strerror(errno));
    }
}

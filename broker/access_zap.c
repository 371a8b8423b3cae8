// SPDX-License-Identifier: Apache-2.0
// The ZAP handler (ZeroMQ RFC 27), on a thread of its own: for each CURVE handshake it says whether
// the key is known, and gives the connection's messages the key as User-Id. What it refuses is
// counted, and told at most once a second, with the first characters of the key.
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "broker/access_internal.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

enum {
    KEY_BYTES = 32,
    KEY_SHOWN_CHARS = 8,
    FRAME_BYTES_MAX_ZAP = 256, // a request id, an address: what is longer is cut
    FRAMES_MAX = 8,
    LINGER_MS = 0,
};

enum { ZAP_VERSION, ZAP_REQUEST, ZAP_DOMAIN, ZAP_ADDRESS, ZAP_IDENTITY, ZAP_MECHANISM, ZAP_KEY };

struct zap_frame {
    char bytes[FRAME_BYTES_MAX_ZAP + 1];
    size_t size;
};

struct handler {
    struct access *access;
    struct access_reader reader;
    struct zap_frame frames[FRAMES_MAX];
    size_t n_frames;
    uint64_t n_unsaid;
    int64_t said_us;
};

static bool is(const struct zap_frame *frame, const char *text) {
    return frame->size == strlen(text) && memcmp(frame->bytes, text, frame->size) == 0;
}

// All frames of one request. False: nothing waits.
static bool receive(struct handler *handler) {
    void *socket = handler->access->zap;
    int more = 1;
    size_t more_size = sizeof(more);
    handler->n_frames = 0;
    while (more) {
        char surplus[1];
        bool keeps = handler->n_frames < FRAMES_MAX;
        struct zap_frame *frame = keeps ? &handler->frames[handler->n_frames] : NULL;
        int n = keeps ? zmq_recv(socket, frame->bytes, FRAME_BYTES_MAX_ZAP, ZMQ_DONTWAIT)
                      : zmq_recv(socket, surplus, sizeof(surplus), ZMQ_DONTWAIT);
        if (n < 0) {
            return false;
        }
        if (keeps) {
            frame->size = n > FRAME_BYTES_MAX_ZAP ? FRAME_BYTES_MAX_ZAP : (size_t)n;
            frame->bytes[frame->size] = '\0';
        }
        handler->n_frames += keeps;
        zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &more_size);
    }
    return true;
}

static void tell_refusal(struct handler *handler, const char *key) {
    int64_t now_us = clock_monotonic_us();
    handler->n_unsaid++;
    if (now_us - handler->said_us >= CLOCK_US_PER_S || handler->said_us == 0) {
        logging_warning("event=handshakes-refused n=%llu key=%.*s address=%.64s reason=\"%s\"",
                        (unsigned long long)handler->n_unsaid, KEY_SHOWN_CHARS, key,
                        handler->frames[ZAP_ADDRESS].bytes,
                        *key != '\0' ? "no certificate of this key" : "not a CURVE handshake");
        handler->n_unsaid = 0;
        handler->said_us = now_us;
    }
}

// The verdict on a request: the key's text where it is known.
static bool judge(struct handler *handler, char key[static CERTIFICATE_KEY_CHARS + 1]) {
    struct access *access = handler->access;
    key[0] = '\0';
    if (handler->n_frames <= ZAP_KEY || !is(&handler->frames[ZAP_MECHANISM], "CURVE") ||
        handler->frames[ZAP_KEY].size != KEY_BYTES ||
        zmq_z85_encode(key, (const uint8_t *)handler->frames[ZAP_KEY].bytes, KEY_BYTES) == NULL) {
        atomic_fetch_add(&access->malformed, 1);
        tell_refusal(handler, "");
        return false;
    }
    access_refresh(&handler->reader);
    if (access_find(&handler->reader, key) != NULL) {
        atomic_fetch_add(&access->accepted, 1);
        return true;
    }
    bool proving = atomic_load(&access->proving);
    if (proving && strcmp(key, access->proof_key) == 0) {
        return true;
    }
    if (!GUARD(zap_answers)) {
        return true;
    }
    if (!proving) {
        atomic_fetch_add(&access->unknown, 1);
        tell_refusal(handler, key);
    }
    return false;
}

static void answer(struct handler *handler) {
    char key[CERTIFICATE_KEY_CHARS + 1];
    void *socket = handler->access->zap;
    bool known = handler->n_frames > ZAP_REQUEST && judge(handler, key);
    const struct zap_frame *request = &handler->frames[ZAP_REQUEST];
    const char *status = known ? "200" : "400", *text = known ? "OK" : "unknown key";
    const char *user = known ? key : "";
    zmq_send(socket, "1.0", 3, ZMQ_SNDMORE);
    zmq_send(socket, request->bytes, handler->n_frames > ZAP_REQUEST ? request->size : 0,
             ZMQ_SNDMORE);
    zmq_send(socket, status, strlen(status), ZMQ_SNDMORE);
    zmq_send(socket, text, strlen(text), ZMQ_SNDMORE);
    zmq_send(socket, user, strlen(user), ZMQ_SNDMORE);
    zmq_send(socket, "", 0, 0);
}

static void *run(void *data) {
    struct handler handler = {.access = data};
    access_reader_init(&handler.reader, handler.access);
    zmq_pollitem_t items[] = {
        {.socket = handler.access->zap, .events = ZMQ_POLLIN},
        {.fd = handler.access->stop, .events = ZMQ_POLLIN},
    };
    while ((items[1].revents & ZMQ_POLLIN) == 0) {
        if (zmq_poll(items, sizeof(items) / sizeof(items[0]), -1) < 0 && errno != EINTR) {
            logging_error("event=zap-ended error=\"%s\"", zmq_strerror(errno));
            break; // nobody new gets in
        }
        if ((items[0].revents & ZMQ_POLLIN) != 0 && receive(&handler)) {
            answer(&handler);
        }
    }
    access_reader_clear(&handler.reader);
    return NULL;
}

int access_zap_start(struct access *access) {
    const int linger = LINGER_MS;
    access->zap = zmq_socket(access->zmq, ZMQ_REP);
    if (access->zap == NULL ||
        zmq_setsockopt(access->zap, ZMQ_LINGER, &linger, sizeof(linger)) != 0 ||
        zmq_bind(access->zap, "inproc://zeromq.zap.01") != 0) {
        return -errno;
    }
    int r = pthread_create(&access->thread, NULL, run, access);
    access->running = r == 0;
    if (access->running) {
        pthread_setname_np(access->thread, "access");
    }
    return -r;
}

void access_zap_stop(struct access *access) {
    uint64_t one = 1;
    if (access->running && write(access->stop, &one, sizeof(one)) == (ssize_t)sizeof(one)) {
        pthread_join(access->thread, NULL);
        access->running = false;
    }
    if (access->zap != NULL) {
        zmq_close(access->zap);
        access->zap = NULL;
    }
}

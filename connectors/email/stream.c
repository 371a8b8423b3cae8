// SPDX-License-Identifier: Apache-2.0
#include "connectors/email/stream_private.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "schemas/base/clock.h"
#include "schemas/base/guards.h"

enum { BUFFER_BYTES = 16 << 10, ADDRESSES_MAX = 8 };

int stream_complain(char *why, int error, const char *what, const char *text) {
    snprintf(why, STREAM_WHY_BYTES, "%s: %s", what, text);
    return error;
}

// ---- waiting

static int left_ms(const struct stream *stream) {
    int64_t left_us = stream->deadline_us - clock_monotonic_us();
    if (!GUARD(mail_deadline)) {
        return -1;
    }
    return left_us <= 0 ? 0 : (int)((left_us + 999) / CLOCK_US_PER_MS);
}

// 1: ready; 0: time is up; -ECANCELED.
static int wait_for(const struct stream *stream, short events, int time_ms, int nudge_fd) {
    struct pollfd fds[] = {{.fd = stream->fd, .events = events},
                           {.fd = stream->wake_fd, .events = POLLIN},
                           {.fd = nudge_fd, .events = POLLIN}};
    int n;
    do {
        n = poll(fds, 3, time_ms);
    } while (n < 0 && errno == EINTR);
    return fds[1].revents != 0 ? -ECANCELED
           : n < 0             ? -errno
                               : (fds[0].revents | fds[2].revents) != 0;
}

static int await(struct stream *stream, short events) {
    int r = wait_for(stream, events, left_ms(stream), -1);
    if (r == 1) {
        return 0;
    }
    return r < 0 ? stream_complain(stream->why, r, "wait", strerror(-r))
                 : stream_complain(stream->why, -ETIMEDOUT, "wait",
                                   "the server does not answer in time");
}

// ---- what libetpan calls

int stream_await_tls(struct stream *stream) {
    return await(stream, gnutls_record_get_direction(stream->tls) != 0 ? POLLOUT : POLLIN);
}

bool stream_is_again(ssize_t n) {
    return n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED;
}

// One try. Bytes; 0 the end; -EAGAIN after waiting; another negative errno.
static ssize_t exchange_tls(struct stream *stream, void *into, const void *from, size_t size) {
    ssize_t n = into != NULL ? gnutls_record_recv(stream->tls, into, size)
                             : gnutls_record_send(stream->tls, from, size);
    if (n >= 0) {
        return n;
    }
    if (stream_is_again(n)) {
        int r = stream_await_tls(stream);
        return r < 0 ? r : -EAGAIN;
    }
    return gnutls_error_is_fatal((int)n) != 0
               ? stream_complain(stream->why, -EPROTO, "TLS", gnutls_strerror((int)n))
               : -EAGAIN;
}

static ssize_t exchange_plain(struct stream *stream, void *into, const void *from, size_t size) {
    ssize_t n =
        into != NULL ? recv(stream->fd, into, size, 0) : send(stream->fd, from, size, MSG_NOSIGNAL);
    if (n >= 0) {
        return n;
    }
    if (errno == EAGAIN || errno == EINTR) {
        int r = await(stream, into != NULL ? POLLIN : POLLOUT);
        return r < 0 ? r : -EAGAIN;
    }
    int error = errno;
    return stream_complain(stream->why, -error, "connection", strerror(error));
}

static ssize_t exchange(struct stream *stream, void *into, const void *from, size_t size) {
    ssize_t n = stream->broken ? -EPIPE : -EAGAIN;
    while (n == -EAGAIN) {
        n = stream->tls != NULL ? exchange_tls(stream, into, from, size)
                                : exchange_plain(stream, into, from, size);
    }
    if (n < 0) {
        stream->broken = true;
        return -1;
    }
    return n;
}

static ssize_t low_read(mailstream_low *low, void *buffer, size_t size) {
    struct stream *stream = low->data;
    if (GUARD(mail_answer_bytes) && stream->bytes_left == 0) {
        stream->broken = true;
        stream_complain(stream->why, -EFBIG, "answer", "the server answers more than it may");
        return -1;
    }
    ssize_t n =
        exchange(stream, buffer, NULL, size < stream->bytes_left ? size : stream->bytes_left);
    if (n == 0) {
        stream->broken = true;
        stream_complain(stream->why, -EPIPE, "connection", "the server closed it");
    }
    stream->bytes_left -= n > 0 ? (size_t)n : 0;
    return n;
}

static ssize_t low_write(mailstream_low *low, const void *bytes, size_t size) {
    return exchange(low->data, NULL, bytes, size);
}

static int low_close(mailstream_low *low) {
    stream_break(low->data);
    return 0;
}

static int low_fd(mailstream_low *low) {
    return ((struct stream *)low->data)->fd;
}

static void low_free(mailstream_low *low) {
    stream_free(low->data);
    free(low);
}

static void low_cancel(mailstream_low *low) {
    stream_break(low->data);
}

static struct mailstream_cancel *low_get_cancel(mailstream_low *low) {
    (void)low;
    return NULL;
}

static carray *low_chain(mailstream_low *low) {
    (void)low;
    return NULL;
}

static int low_idle(mailstream_low *low) {
    (void)low;
    return -1;
}

static mailstream_low_driver driver = {
    .mailstream_read = low_read,
    .mailstream_write = low_write,
    .mailstream_close = low_close,
    .mailstream_get_fd = low_fd,
    .mailstream_free = low_free,
    .mailstream_cancel = low_cancel,
    .mailstream_get_cancel = low_get_cancel,
    .mailstream_get_certificate_chain = low_chain,
    .mailstream_setup_idle = low_idle,
    .mailstream_unsetup_idle = low_idle,
    .mailstream_interrupt_idle = low_idle,
};

// ---- connecting

static int connect_to(struct stream *stream, const struct addrinfo *address) {
    int yes = 1, error = 0;
    socklen_t size = sizeof(error);
    stream->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (stream->fd < 0) {
        error = errno;
        return stream_complain(stream->why, -error, "socket", strerror(error));
    }
    setsockopt(stream->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    setsockopt(stream->fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof(yes));
    if (connect(stream->fd, address->ai_addr, address->ai_addrlen) != 0 && errno != EINPROGRESS) {
        error = errno;
        return stream_complain(stream->why, -error, "connect", strerror(error));
    }
    int r = await(stream, POLLOUT);
    if (r == 0 && getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error != 0) {
        r = stream_complain(stream->why, -error, "connect", strerror(error));
    }
    return r;
}

static int connect_to_any(struct stream *stream, const struct addrinfo *addresses) {
    int r = -ENOENT;
    size_t n = 0;
    for (const struct addrinfo *one = addresses; one != NULL && n < ADDRESSES_MAX; n++) {
        stream_allow(stream, STREAM_CONNECT_MS_MAX, 0);
        r = connect_to(stream, one);
        if (r == 0 || r == -ECANCELED) {
            break;
        }
        if (stream->fd >= 0) {
            close(stream->fd);
            stream->fd = -1;
        }
        one = one->ai_next;
    }
    return r;
}

int stream_open(const char *host, const char *port, int wake_fd, char why[STREAM_WHY_BYTES],
                struct stream **ret) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *addresses = NULL;
    struct stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL) {
        return stream_complain(why, -ENOMEM, "connect", strerror(ENOMEM));
    }
    stream->fd = -1;
    stream->wake_fd = wake_fd;
    int r = getaddrinfo(host, port, &hints, &addresses);
    if (r != 0) {
        r = stream_complain(stream->why, -ENOENT, "host", gai_strerror(r));
    } else {
        r = connect_to_any(stream, addresses);
        freeaddrinfo(addresses);
    }
    if (r != 0) {
        snprintf(why, STREAM_WHY_BYTES, "%s", stream->why);
        stream_free(stream);
        return r;
    }
    *ret = stream;
    return 0;
}

// ---- the rest

mailstream *stream_mail(struct stream *stream) {
    mailstream_low *low = mailstream_low_new(stream, &driver);
    mailstream *mail = low == NULL ? NULL : mailstream_new(low, BUFFER_BYTES);
    if (mail == NULL && low != NULL) {
        low->data = NULL; // the caller's still
        free(low);
    }
    return mail;
}

void stream_allow(struct stream *stream, int64_t time_ms, size_t bytes_max) {
    stream->deadline_us = clock_monotonic_us() + time_ms * CLOCK_US_PER_MS;
    stream->bytes_left = bytes_max;
}

int stream_wait(struct stream *stream, const mailstream *mail, int time_ms, int nudge_fd) {
    // What libetpan or TLS has read already is not seen by poll.
    if (mail->read_buffer_len > 0 || stream->broken ||
        (stream->tls != NULL && gnutls_record_check_pending(stream->tls) > 0)) {
        return 1;
    }
    return wait_for(stream, POLLIN, time_ms, nudge_fd);
}

void stream_break(struct stream *stream) {
    stream->broken = true;
}

const char *stream_why(const struct stream *stream) {
    return stream->why;
}

struct stream *stream_free(struct stream *stream) {
    if (stream == NULL) {
        return NULL;
    }
    if (stream->tls != NULL) {
        gnutls_deinit(stream->tls);
    }
    if (stream->credentials != NULL) {
        gnutls_certificate_free_credentials(stream->credentials);
    }
    if (stream->fd >= 0) {
        close(stream->fd);
    }
    free(stream);
    return NULL;
}

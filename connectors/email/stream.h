// SPDX-License-Identifier: Apache-2.0
// A connection to a mail server that libetpan talks through: TCP, and TLS with the certificate and
// the host's name checked. Every wait has an end (stream_allow), every answer a greatest size, and
// the wake descriptor ends them all. libetpan's own sockets have neither a whole call's time nor a
// name check.
#pragma once

#include <libetpan/mailstream.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    STREAM_WHY_BYTES = 256,
    STREAM_CONNECT_MS_MAX = 20000, // to one address, TLS besides
};

struct stream_trust {
    const char *ca_file; // PEM; NULL: the system's
    bool no_verify;      // takes any certificate: by explicit option only
};

struct stream;

// Connects; wake_fd, borrowed, ends every wait as soon as it is readable. 0; negative errno with
// one line in why, which has no personal data: -ENOENT the host is unknown, -ECANCELED woken.
int stream_open(const char *host, const char *port, int wake_fd, char why[STREAM_WHY_BYTES],
                struct stream **ret);
// From here on it is TLS. -EPERM: the certificate is not trusted or not this host's; -EPROTO.
int stream_start_tls(struct stream *stream, const char *host, const struct stream_trust *trust,
                     char why[STREAM_WHY_BYTES]);
// For mailimap_connect; libetpan frees both.
mailstream *stream_mail(struct stream *stream);
// What comes next may last that long and answer that much.
void stream_allow(struct stream *stream, int64_t time_ms, size_t bytes_max);
// Waits without reading. 1: there is something, or nudge_fd (-1: none) is readable; 0: time is up;
// -ECANCELED woken.
int stream_wait(struct stream *stream, const mailstream *mail, int time_ms, int nudge_fd);
// Nothing is sent or received any more, without waiting for anything.
void stream_break(struct stream *stream);
// Why reading or writing failed, "" where it did not.
const char *stream_why(const struct stream *stream);
struct stream *stream_free(struct stream *stream); // takes NULL

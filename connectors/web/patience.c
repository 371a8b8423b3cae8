// SPDX-License-Identifier: Apache-2.0
// libmicrohttpd bounds silence, not slowness: a byte a second keeps a connection for ever. Here
// every phase of a request has its end, whatever trickles in; who misses it gets 408 and is cut.
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "connectors/web/web.h"
#include "schemas/base/clock.h"

struct connection {
    struct connection *previous, *next;
    int fd;
    enum phase phase;
    int64_t deadline_us;
    bool cut;
};

static int64_t phase_us(const struct web *web, enum phase phase) {
    switch (phase) {
    case PHASE_HEADERS:
        return web->conf->headers_us;
    case PHASE_BODY:
        return web->conf->body_us;
    case PHASE_IDLE:
        return WEB_KEEP_ALIVE_MS * CLOCK_US_PER_MS;
    case PHASE_ANSWER:
        break; // the kit answers in time
    }
    return INT64_MAX / 2;
}

static void enter(struct web *web, struct connection *connection, enum phase phase) {
    pthread_mutex_lock(&web->connections_lock);
    connection->phase = phase;
    connection->deadline_us = clock_monotonic_us() + phase_us(web, phase);
    pthread_mutex_unlock(&web->connections_lock);
}

static struct connection *find(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info == NULL ? NULL : info->socket_context;
}

static void add(struct web *web, struct MHD_Connection *connection, void **context) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct connection *added = info == NULL ? NULL : calloc(1, sizeof(*added));
    if (added == NULL) {
        return; // it goes on without a watch
    }
    added->fd = info->connect_fd;
    enter(web, added, PHASE_HEADERS);
    pthread_mutex_lock(&web->connections_lock);
    added->next = web->connections;
    if (added->next != NULL) {
        added->next->previous = added;
    }
    web->connections = added;
    pthread_mutex_unlock(&web->connections_lock);
    *context = added;
}

static void forget(struct web *web, struct connection *gone) {
    pthread_mutex_lock(&web->connections_lock);
    *(gone->previous != NULL ? &gone->previous->next : &web->connections) = gone->next;
    if (gone->next != NULL) {
        gone->next->previous = gone->previous;
    }
    pthread_mutex_unlock(&web->connections_lock);
    free(gone);
}

void patience_connection(void *user, struct MHD_Connection *connection, void **context,
                         enum MHD_ConnectionNotificationCode code) {
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        add(user, connection, context);
    } else if (*context != NULL) {
        forget(user, *context); // before its descriptor is closed
        *context = NULL;
    }
}

void *patience_request_line(void *user, const char *uri, struct MHD_Connection *connection) {
    struct web *web = user;
    struct connection *known = find(connection);
    (void)uri;
    // The first request's time runs from the connection on.
    if (known != NULL && known->phase == PHASE_IDLE) {
        enter(web, known, PHASE_HEADERS);
    }
    return NULL;
}

void patience_phase(struct web *web, struct MHD_Connection *connection, enum phase phase) {
    struct connection *known = find(connection);
    if (known != NULL) {
        enter(web, known, phase);
    }
}

void patience_watch(struct web *web) {
    static const char late[] = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n"
                               "Content-Length: 0\r\n\r\n";
    int64_t now_us = clock_monotonic_us();
    pthread_mutex_lock(&web->connections_lock);
    for (struct connection *at = web->connections; at != NULL; at = at->next) {
        if (at->cut || now_us < at->deadline_us) {
            continue;
        }
        // Nothing has been answered in these phases, so these are the connection's next bytes.
        if (at->phase == PHASE_HEADERS || at->phase == PHASE_BODY) {
            (void)send(at->fd, late, sizeof(late) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
            kit_count(web->kit, WEB_SLOW, 1);
        }
        shutdown(at->fd, SHUT_RDWR);
        at->cut = true;
    }
    pthread_mutex_unlock(&web->connections_lock);
}

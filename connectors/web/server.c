// SPDX-License-Identifier: Apache-2.0
// A request from its first header to its answer. libmicrohttpd calls `handle` once when the headers
// are there, then for each piece of the body, then once more; a request that waits for the kit is
// suspended and called again. Never redirects: SDKs lose the batch on the way.
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connectors/web/web.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

static void show_health(struct request *request) {
    char *text = kit_health(request->web->kit);
    request->answer = (struct answer){
        .status = text == NULL ? MHD_HTTP_INTERNAL_SERVER_ERROR : MHD_HTTP_OK, .text = text};
}

static void show_metrics(struct request *request) {
    char *text = kit_metrics(request->web->kit);
    request->answer =
        (struct answer){.status = text == NULL ? MHD_HTTP_INTERNAL_SERVER_ERROR : MHD_HTTP_OK,
                        .text = text,
                        .type = "text/plain; version=0.0.4"};
}

static const struct route routes[] = {
    {"POST", "/v1/batch", ingest_segment, ingest_finish, "batch"},
    {"POST", "/v1/import", ingest_segment, ingest_finish, "batch"},
    {"POST", "/v1/track", ingest_segment, ingest_finish, "track"},
    {"POST", "/v1/identify", ingest_segment, ingest_finish, "identify"},
    {"POST", "/v1/page", ingest_segment, ingest_finish, "page"},
    {"POST", "/v1/screen", ingest_segment, ingest_finish, "screen"},
    {"POST", "/v1/alias", ingest_segment, ingest_finish, "alias"},
    {"POST", "/v1/group", ingest_segment, ingest_finish, "group"},
    {"POST", "/events", ingest_cloudevents, ingest_finish, NULL},
    {"GET", "/v1/customer", customer_ask, customer_finish, NULL},
    {"POST", "/v1/contact", contact_ask, contact_finish, NULL},
    {"GET", "/unsubscribe/", unsubscribe_show, NULL, NULL},
    {"HEAD", "/unsubscribe/", unsubscribe_show, NULL, NULL},
    {"POST", "/unsubscribe/", unsubscribe_take, unsubscribe_finish, NULL},
    {"GET", "/health", show_health, NULL, NULL},
    {"GET", "/metrics", show_metrics, NULL, NULL},
};
// Of every path, for scripts of other origins.
static const struct route preflight = {"OPTIONS", "", origin_preflight, NULL, NULL};

// ---- headers

const char *request_header(const struct request *request, const char *name) {
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

struct framing {
    unsigned n_lengths, n_codings;
};

static enum MHD_Result count_framing(void *user, enum MHD_ValueKind kind, const char *name,
                                     const char *value) {
    struct framing *framing = user;
    (void)kind;
    (void)value;
    framing->n_lengths += strcasecmp(name, "Content-Length") == 0;
    framing->n_codings += strcasecmp(name, "Transfer-Encoding") == 0;
    return MHD_YES;
}

// Whether the path is the route's; what is behind one that ends with a slash is its rest.
static bool is_path(const struct route *route, const char *path, const char **ret_rest) {
    size_t size = strlen(route->path);
    if (route->path[size - 1] != '/') {
        return strcmp(route->path, path) == 0;
    }
    if (strncmp(route->path, path, size) != 0) {
        return false;
    }
    *ret_rest = path + size;
    return true;
}

static void take_route(struct request *request, const struct route *route, const char *rest) {
    request->route = route;
    request->rest = strdup(rest);
    if (request->rest == NULL) {
        answer_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
    }
}

static void find_route(struct request *request, const char *method, const char *path) {
    const char *rest = "";
    bool known = false;
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (!is_path(&routes[i], path, &rest)) {
            continue;
        }
        known = true;
        if (strcmp(routes[i].method, method) == 0) {
            take_route(request, &routes[i], rest);
            return;
        }
    }
    if (known && strcmp(method, preflight.method) == 0 && origin_allowed(request) != NULL) {
        request->route = &preflight;
        request->preflight = true;
        return;
    }
    answer_error(request, known ? MHD_HTTP_METHOD_NOT_ALLOWED : MHD_HTTP_NOT_FOUND,
                 known ? "another method is wanted here" : "no such path");
}

static void check_length(struct request *request) {
    const char *length = request_header(request, "Content-Length");
    if (length == NULL) {
        return;
    }
    errno = 0;
    unsigned long long bytes = strtoull(length, NULL, 10);
    if (GUARD(http_length) && (errno != 0 || bytes > WEB_BODY_BYTES_MAX)) {
        answer_error(request, MHD_HTTP_CONTENT_TOO_LARGE, "the body is larger than 4 MiB");
        request->answer.close = true;
    }
}

// Two ways to say where a body ends are a way to smuggle a second request: RFC 9112, 6.3.
static void check_framing(struct request *request) {
    struct framing framing = {0};
    const char *coding = request_header(request, "Transfer-Encoding");
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, count_framing, &framing);
    if ((GUARD(http_framing) && framing.n_lengths + framing.n_codings > 1) ||
        (coding != NULL && strcasecmp(coding, "chunked") != 0)) {
        answer_error(request, MHD_HTTP_BAD_REQUEST, "the body's length is given in two ways");
        request->answer.close = true;
    }
}

static enum MHD_Result begin(struct web *web, struct MHD_Connection *connection, const char *path,
                             const char *method, void **context) {
    struct request *request = calloc(1, sizeof(*request));
    if (request == NULL) {
        return MHD_NO;
    }
    *context = request;
    atomic_fetch_add(&web->n_requests, 1);
    request->web = web;
    request->connection = connection;
    kit_count(web->kit, WEB_REQUESTS, 1);
    patience_phase(web, connection, PHASE_BODY);
    find_route(request, method, path);
    if (request->answer.status == 0 && atomic_load(&web->draining)) {
        answer_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "the connector is stopping");
    }
    check_length(request);
    check_framing(request);
    // What cannot be read on is answered at once; anything else after its body, which the client
    // sends before it looks for an answer.
    return request->answer.close ? answer_send(request) : MHD_YES;
}

// ---- body

static bool charge(struct request *request, size_t bytes) {
    struct web *web = request->web;
    size_t total = atomic_fetch_add(&web->bodies_bytes, bytes) + bytes;
    request->charged += bytes;
    return total <= WEB_BODIES_BYTES_MAX;
}

static bool reserve(struct request *request, size_t size) {
    size_t wanted = request->size + size;
    if (wanted <= request->capacity) {
        return true;
    }
    size_t capacity = 2 * request->capacity > wanted ? 2 * request->capacity : wanted;
    char *body =
        charge(request, capacity - request->capacity) ? realloc(request->body, capacity + 1) : NULL;
    if (body == NULL) {
        answer_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "too many bodies at once");
        return false;
    }
    request->body = body;
    request->capacity = capacity;
    return true;
}

static void take_body(struct request *request, const char *data, size_t size) {
    if (request->answer.status != 0) {
        return; // refused already: read past
    }
    if (size > WEB_BODY_BYTES_MAX - request->size) {
        answer_error(request, MHD_HTTP_CONTENT_TOO_LARGE, "the body is larger than 4 MiB");
    } else if (reserve(request, size)) {
        memcpy(request->body + request->size, data, size);
        request->size += size;
    }
}

static enum MHD_Result handle(void *user, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *data,
                              size_t *data_size, void **context) {
    struct request *request = *context;
    (void)version;
    if (request == NULL) {
        return begin(user, connection, path, method, context);
    }
    if (*data_size > 0) {
        take_body(request, data, *data_size);
        *data_size = 0;
        return MHD_YES;
    }
    if (!request->complete) {
        request->complete = true;
        patience_phase(user, connection, PHASE_ANSWER);
        if (request->answer.status == 0) {
            request->route->run(request);
        }
        if (request->submitted) {
            return MHD_YES; // suspended: it is called again
        }
    }
    if (request->submitted && request->answer.status == 0) {
        if (!atomic_load(&request->answered)) {
            return MHD_YES;
        }
        request->route->finish(request);
    }
    return answer_send(request);
}

static void end(void *user, struct MHD_Connection *connection, void **context,
                enum MHD_RequestTerminationCode code) {
    struct web *web = user;
    struct request *request = *context;
    (void)code;
    if (request == NULL) {
        return;
    }
    atomic_fetch_sub(&web->bodies_bytes, request->charged);
    for (size_t i = 0; i < request->n_sent && request->details != NULL; i++) {
        free(request->details[i]);
    }
    items_clear(&request->items);
    free(request->details);
    free(request->acks);
    free(request->sent);
    free(request->body);
    free(request->answer.text);
    touchbus_answer_free(request->question.answer);
    free(request->asked);
    free(request->rest);
    free(request->verdict);
    free(request);
    *context = NULL;
    patience_phase(web, connection, PHASE_IDLE);
    atomic_fetch_sub(&web->n_requests, 1);
}

// ---- life

static void log_mhd(void *user, const char *format, va_list ap)
    __attribute__((format(printf, 2, 0)));
static void log_mhd(void *user, const char *format, va_list ap) {
    char line[256];
    (void)user;
    vsnprintf(line, sizeof(line), format, ap);
    line[strcspn(line, "\r\n")] = '\0';
    logging_debug("http=\"%s\"", line);
}

int server_start(struct web *web) {
    char port[16];
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *address;
    snprintf(port, sizeof(port), "%lld", (long long)web->conf->port);
    if (getaddrinfo(web->conf->bind, port, &hints, &address) != 0) {
        return -EINVAL;
    }
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
                     (address->ai_family == AF_INET6 ? MHD_USE_IPv6 : 0);
    errno = 0;
    web->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, handle, web, MHD_OPTION_EXTERNAL_LOGGER, log_mhd, NULL,
        MHD_OPTION_SOCK_ADDR, address->ai_addr, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)WEB_THREADS,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)WEB_CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)WEB_HEADER_BYTES_MAX,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_COMPLETED, end, web,
        MHD_OPTION_NOTIFY_CONNECTION, patience_connection, web, MHD_OPTION_URI_LOG_CALLBACK,
        patience_request_line, web, MHD_OPTION_END);
    int error = errno;
    freeaddrinfo(address);
    if (web->daemon == NULL) {
        return error != 0 ? -error : -EIO;
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(web->daemon, MHD_DAEMON_INFO_BIND_PORT);
    logging_info("listening=%s port=%u", web->conf->bind, info == NULL ? 0U : info->port);
    return 0;
}

void server_stop(struct web *web) {
    if (web->daemon != NULL) {
        // The kit has answered all of them; the answers still have to leave.
        for (int ms = 0; ms < WEB_STOP_MS && atomic_load(&web->n_requests) > 0; ms++) {
            usleep(1000);
        }
        MHD_stop_daemon(web->daemon);
        web->daemon = NULL;
    }
}

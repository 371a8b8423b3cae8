// SPDX-License-Identifier: Apache-2.0
// What goes out: the status, the text, and the headers that go with either.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/web/web.h"

void answer_error(struct request *request, unsigned status, const char *text) {
    json_t *json = json_pack("{s:b, s:s}", "success", 0, "error", text);
    char *dumped = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
    json_decref(json);
    free(request->answer.text);
    request->answer = (struct answer){.status = status, .text = dumped};
    kit_count(request->web->kit, WEB_REFUSED, 1);
}

void answer_page(struct request *request, unsigned status, char *text) {
    if (text == NULL) {
        answer_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
        return;
    }
    free(request->answer.text);
    request->answer = (struct answer){.status = status,
                                      .text = text,
                                      .type = "text/html; charset=utf-8",
                                      .page = true,
                                      .no_store = true};
    kit_count(request->web->kit, WEB_REFUSED, status >= MHD_HTTP_BAD_REQUEST);
}

// A page of ours loads nothing, stands in nobody's frame, and tells no one its address, which is a
// credential.
static void add_page(struct MHD_Response *response) {
    static const char *const headers[][2] = {
        {"Content-Security-Policy", "default-src 'none'; form-action 'self'; base-uri 'none'; "
                                    "frame-ancestors 'none'"},
        {"Referrer-Policy", "no-referrer"},
        {"X-Content-Type-Options", "nosniff"},
    };
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        MHD_add_response_header(response, headers[i][0], headers[i][1]);
    }
}

static void add_origin(const struct request *request, struct MHD_Response *response) {
    const char *origin = origin_allowed(request);
    if (origin == NULL) {
        return;
    }
    MHD_add_response_header(response, "Access-Control-Allow-Origin", origin);
    MHD_add_response_header(response, "Vary", "Origin");
    if (request->preflight) {
        MHD_add_response_header(response, "Access-Control-Allow-Methods", "GET, POST");
        MHD_add_response_header(response, "Access-Control-Allow-Headers",
                                "Authorization, Content-Type, Content-Encoding");
        MHD_add_response_header(response, "Access-Control-Max-Age", "600");
    }
}

static void add_status(const struct answer *answer, struct MHD_Response *response) {
    if (answer->status == MHD_HTTP_SERVICE_UNAVAILABLE ||
        answer->status == MHD_HTTP_TOO_MANY_REQUESTS) {
        char seconds[16];
        snprintf(seconds, sizeof(seconds), "%d", WEB_RETRY_AFTER_S);
        MHD_add_response_header(response, "Retry-After", seconds);
    }
    if (answer->status == MHD_HTTP_UNAUTHORIZED) {
        MHD_add_response_header(response, "WWW-Authenticate", "Basic realm=\"touchbus\"");
    }
}

enum MHD_Result answer_send(struct request *request) {
    const struct answer *answer = &request->answer;
    size_t size = answer->text == NULL ? 0 : strlen(answer->text);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(size, answer->text, MHD_RESPMEM_MUST_COPY);
    if (response == NULL) {
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type",
                            answer->type != NULL ? answer->type : "application/json");
    add_status(answer, response);
    if (answer->no_store) {
        MHD_add_response_header(response, "Cache-Control", "no-store");
    }
    if (answer->page) {
        add_page(response);
    }
    add_origin(request, response);
    if (answer->close || atomic_load(&request->web->draining)) {
        MHD_add_response_header(response, "Connection", "close");
    }
    enum MHD_Result queued = MHD_queue_response(request->connection, answer->status, response);
    MHD_destroy_response(response);
    return queued;
}

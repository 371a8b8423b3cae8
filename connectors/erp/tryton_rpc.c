// SPDX-License-Identifier: Apache-2.0
// Calls of Tryton over curl's multi interface: a slot a call. An answer of 401 means that the
// session is over: the call is made once more with a new one. What each other answer means is
// dialect/tryton_reply.c; what has no answer within its time is TRYTON_AWAY.
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/erp/tryton_private.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"

enum { POLL_MS = 500 }; // between two beats

void tryton_reply_clear(struct tryton_reply *reply) {
    json_decref(reply->result);
    reply->result = NULL;
}

// ---- a transfer

static size_t take(char *bytes, size_t ignored_one, size_t size, void *user) {
    struct tryton_transfer *transfer = user;
    (void)ignored_one;
    if (size > TRYTON_ANSWER_BYTES_MAX - transfer->answer_size) {
        return 0; // ends the transfer with an error
    }
    char *grown = realloc(transfer->answer, transfer->answer_size + size + 1);
    if (grown == NULL) {
        return 0;
    }
    memcpy(grown + transfer->answer_size, bytes, size);
    transfer->answer = grown;
    transfer->answer_size += size;
    return size;
}

static int beat(void *user, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
    const struct tryton *tryton = user;
    (void)a, (void)b, (void)c, (void)d;
    if (tryton->options.beat != NULL) {
        tryton->options.beat(tryton->options.beat_user);
    }
    return 0;
}

static bool add_header(struct tryton_transfer *transfer, const char *line) {
    struct curl_slist *longer = curl_slist_append(transfer->headers, line);
    transfer->headers = longer != NULL ? longer : transfer->headers;
    return longer != NULL;
}

static void set_bounds(const struct tryton *tryton, CURL *easy) {
    const struct tryton_options *options = &tryton->options;
    long timeout_ms = (long)(options->timeout_us / CLOCK_US_PER_MS);
    long connect_ms = timeout_ms < TRYTON_CONNECT_MS ? timeout_ms : TRYTON_CONNECT_MS;
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, connect_ms);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, 0L); // a host that moved is found at once
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); // an ERP stands in the house
    if (options->ca_file != NULL) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, options->ca_file);
    }
}

int transfer_open(struct tryton *tryton, struct tryton_transfer *transfer, char *body) {
    *transfer = (struct tryton_transfer){.tryton = tryton, .body = body};
    transfer->easy = curl_easy_init();
    bool is_whole =
        transfer->easy != NULL && add_header(transfer, "Content-Type: application/json") &&
        add_header(transfer, "Expect:") &&
        (tryton->authorization[0] == '\0' || add_header(transfer, tryton->authorization));
    if (!is_whole) {
        return -ENOMEM;
    }
    CURL *easy = transfer->easy;
    char url[TRYTON_URL_BYTES];
    size_t size = strlen(tryton->options.url);
    const char *end = size > 0 && tryton->options.url[size - 1] == '/' ? "" : "/";
    snprintf(url, sizeof(url), "%s%s", tryton->options.url, end);
    set_bounds(tryton, easy);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, transfer->body);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(transfer->body));
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, beat);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, tryton);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    return 0;
}

void transfer_close(struct tryton_transfer *transfer) {
    curl_easy_cleanup(transfer->easy);
    curl_slist_free_all(transfer->headers);
    if (transfer->body != NULL) { // a login's holds the password
        explicit_bzero(transfer->body, strlen(transfer->body));
    }
    free(transfer->body);
    free(transfer->answer);
    *transfer = (struct tryton_transfer){0};
}

void transfer_read(const struct tryton_transfer *transfer, CURLcode code,
                   struct tryton_reply *reply) {
    long status = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_OK) {
        const char *answer = transfer->answer != NULL ? transfer->answer : "";
        tryton_reply_read(status, answer, transfer->answer_size, reply);
    } else {
        tryton_reply_fail(reply, TRYTON_AWAY, "%s",
                          transfer->error[0] != '\0' ? transfer->error : curl_easy_strerror(code));
    }
}

// ---- calls

static struct tryton_transfer *free_slot(struct tryton *tryton) {
    size_t i = 0;
    while (i < TRYTON_CALLS_MAX && tryton->transfers[i].user != NULL) {
        i++;
    }
    assert(i < TRYTON_CALLS_MAX);
    return &tryton->transfers[i];
}

// The request's text; takes params and context. NULL where memory is short.
static char *write_request(const struct tryton *tryton, const char *method, json_t *params,
                           json_t *context) {
    json_t *whole = json_copy(tryton->context);
    if (context != NULL) {
        json_object_update(whole, context);
        json_decref(context);
    }
    json_array_append_new(params, whole);
    json_t *request = json_pack("{s:s, s:o}", "method", method, "params", params);
    char *body = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    return body;
}

static void send_off(struct tryton *tryton, struct tryton_transfer *transfer, char *body) {
    struct tryton_reply *reply = transfer->reply;
    void *user = transfer->user;
    int r = body != NULL ? transfer_open(tryton, transfer, body) : -ENOMEM;
    transfer->reply = reply;
    transfer->user = user;
    transfer->session = tryton->session;
    if (r < 0 || curl_multi_add_handle(tryton->multi, transfer->easy) != CURLM_OK) {
        tryton_reply_fail(reply, TRYTON_AWAY, "memory is short");
        transfer->is_done = true;
    }
}

void tryton_start(struct tryton *tryton, const char *method, json_t *params, json_t *context,
                  struct tryton_reply *reply, void *user) {
    struct tryton_transfer *transfer = free_slot(tryton);
    tryton_reply_fail(reply, TRYTON_AWAY, "memory is short");
    transfer->reply = reply;
    transfer->user = user;
    tryton->n_under_way++;
    if (params == NULL || !session_open(tryton, reply)) {
        json_decref(params);
        json_decref(context);
        transfer->is_done = true;
        return;
    }
    send_off(tryton, transfer, write_request(tryton, method, params, context));
}

// The session was over: the same call with a new one. False: there is none, reply says why.
static bool repeat(struct tryton *tryton, struct tryton_transfer *transfer) {
    if (GUARD(tryton_login_again) && transfer->session == tryton->session) {
        session_forget(tryton);
    }
    if (transfer->is_repeated || !session_open(tryton, transfer->reply)) {
        transfer->reply->class = TRYTON_AWAY;
        return false;
    }
    char *body = transfer->body;
    struct tryton_reply *reply = transfer->reply;
    void *user = transfer->user;
    transfer->body = NULL;
    transfer_close(transfer);
    transfer->reply = reply;
    transfer->user = user;
    send_off(tryton, transfer, body);
    transfer->is_repeated = true;
    return !transfer->is_done;
}

static void collect(struct tryton *tryton) {
    int ignored;
    for (CURLMsg *message = curl_multi_info_read(tryton->multi, &ignored); message != NULL;
         message = curl_multi_info_read(tryton->multi, &ignored)) {
        struct tryton_transfer *transfer;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
        curl_multi_remove_handle(tryton->multi, transfer->easy);
        transfer_read(transfer, code, transfer->reply);
        transfer->is_done = transfer->reply->class != TRYTON_LOGIN || !repeat(tryton, transfer);
    }
}

static struct tryton_transfer *find_done(struct tryton *tryton) {
    for (size_t i = 0; i < TRYTON_CALLS_MAX; i++) {
        if (tryton->transfers[i].user != NULL && tryton->transfers[i].is_done) {
            return &tryton->transfers[i];
        }
    }
    return NULL;
}

void *tryton_wait(struct tryton *tryton) {
    struct tryton_transfer *done = find_done(tryton);
    while (done == NULL && tryton->n_under_way > 0) {
        int ignored;
        curl_multi_perform(tryton->multi, &ignored);
        collect(tryton);
        done = find_done(tryton);
        if (done == NULL) {
            curl_multi_poll(tryton->multi, NULL, 0, POLL_MS, NULL);
            beat(tryton, 0, 0, 0, 0);
        }
    }
    if (done == NULL) {
        return NULL;
    }
    void *user = done->user;
    session_note(tryton, done->reply);
    transfer_close(done);
    tryton->n_under_way--;
    return user;
}

void tryton_call(struct tryton *tryton, const char *method, json_t *params, json_t *context,
                 struct tryton_reply *reply) {
    assert(tryton->n_under_way == 0);
    tryton_start(tryton, method, params, context, reply, reply);
    tryton_wait(tryton);
}

size_t tryton_under_way(const struct tryton *tryton) {
    return tryton->n_under_way;
}

json_int_t tryton_company(const struct tryton *tryton) {
    return json_integer_value(json_object_get(tryton->context, "company"));
}

json_int_t tryton_user(const struct tryton *tryton) {
    return tryton->uid;
}

// ---- life

int tryton_new(const struct tryton_options *options, struct tryton **ret) {
    struct tryton *tryton = calloc(1, sizeof(*tryton));
    if (tryton == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
        (tryton->multi = curl_multi_init()) == NULL) {
        free(tryton);
        return -ENOMEM;
    }
    if (tryton_redirect(tryton, options) < 0) {
        tryton_free(tryton);
        return -ENOMEM;
    }
    *ret = tryton;
    return 0;
}

struct tryton *tryton_free(struct tryton *tryton) {
    if (tryton != NULL) {
        for (size_t i = 0; i < TRYTON_CALLS_MAX; i++) {
            if (tryton->transfers[i].easy != NULL) {
                curl_multi_remove_handle(tryton->multi, tryton->transfers[i].easy);
            }
            transfer_close(&tryton->transfers[i]);
        }
        curl_multi_cleanup(tryton->multi);
        curl_global_cleanup();
        json_decref(tryton->context);
        options_clear_texts(tryton);
        free(tryton);
    }
    return NULL;
}

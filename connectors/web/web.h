// SPDX-License-Identifier: Apache-2.0
// touchbus-web from the inside.
//
//   web.c         the descriptor: options, open, reload, drain, close
//   server.c      libmicrohttpd: a request from its first header to its answer
//   answer.c      what goes out
//   patience.c    who is too slow: 408
//   ingest.c      a body -> events -> the kit -> an answer
//   customer.c    GET /v1/customer: what the broker says of a customer, as far as the key reads it
//   contact.c     POST /v1/contact: may this customer be contacted now?
//   unsubscribe.c /unsubscribe/TOKEN: the link in our mails      page.c   what people see there
//   submit.c      one event of a request to the kit
//   questions.c   the threads that ask the broker
//   keys.c        write keys and their roles
//   origin.c      scripts of other origins
#pragma once

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connectors/dialect/items.h"
#include "connectors/dialect/mail.h"
#include "connectors/dialect/segment.h"
#include "connectors/kit/kit.h"
#include "connectors/web/keys.h"
#include "connectors/web/questions.h"

enum {
    WEB_BODY_BYTES_MAX = 4 << 20,     // as sent
    WEB_INFLATED_BYTES_MAX = 8 << 20, // after Content-Encoding
    WEB_BODIES_BYTES_MAX = 64 << 20,  // of all requests together
    WEB_HEADER_BYTES_MAX = 32 << 10,
    WEB_CONNECTIONS_MAX = 512,
    WEB_THREADS = 2,
    WEB_KEEP_ALIVE_MS = 75000, // from an answer to the next request
    WEB_WATCH_MS = 500,        // slow senders are looked for this often
    WEB_RETRY_AFTER_S = 1,
    WEB_STOP_MS = 1000, // for the last answers to leave
};

struct web_conf {
    char *bind;
    int64_t port;
    char *source, *channel;
    struct option_list write_keys, roles, origins;
    int64_t questions_a_second;
    int64_t headers_us, body_us;
    char *unsubscribe_key; // file; NULL: links are not answered
};

enum web_counter {
    WEB_REQUESTS,
    WEB_REFUSED,
    WEB_SLOW,
    WEB_BAD_ITEMS,
    WEB_QUESTIONS,
    WEB_UNSUBSCRIBED,
};

struct connection; // patience.c

struct web {
    struct kit *kit;
    const struct web_conf *conf;
    struct MHD_Daemon *daemon;
    atomic_bool draining;
    atomic_size_t bodies_bytes;
    atomic_size_t n_requests; // not yet answered to the last byte

    struct web_keys *keys;
    struct questions *questions;
    struct mail_conf mail; // key NULL: links are not answered
    uint8_t unsubscribe_key[MAIL_KEY_BYTES];

    pthread_mutex_t connections_lock; // guards connections and what is in them
    struct connection *connections;
};

// An answer that is ready to go out.
struct answer {
    unsigned status;  // 0: none yet
    char *text;       // malloc'ed
    const char *type; // NULL: JSON
    bool page;        // for a person's browser
    bool close;       // the connection cannot be used on
    bool no_store;    // about one person: no cache may keep it
};

struct request {
    struct web *web;
    struct MHD_Connection *connection;
    const struct route *route;
    bool preflight;
    char *rest; // of the path, where the route's ends with a slash
    struct answer answer;
    char *body;
    size_t size, capacity;
    size_t charged; // of web->bodies_bytes
    bool complete;

    struct items items;
    size_t *sent;         // which item each submitted event was
    struct kit_ack *acks; // one a submitted event
    char **details;       // of these
    size_t n_sent;
    bool submitted;
    atomic_bool answered; // by the thread that `done` ran on

    char key[SEGMENT_KEY_BYTES_MAX]; // the write key it came with
    struct question question;        // customer.c's
    char *asked;                     // its argument
    char *verdict;                   // submit.c's: of the one ack
};

struct route {
    const char *method, *path;               // a path that ends with a slash: all below it
    void (*run)(struct request *request);    // sets answer, or submits and returns without
    void (*finish)(struct request *request); // after what was submitted was answered
    const char *call;                        // of the Segment dialect
};

// ---- ingest.c

void ingest_segment(struct request *request);
void ingest_cloudevents(struct request *request);
// After the kit has answered: sets the answer.
void ingest_finish(struct request *request);
// Whether the key of the headers, else key_of_body, may do this; else the answer is set.
bool ingest_allowed(struct request *request, const char *key_of_body, enum web_purpose purpose);
// Undoes Content-Encoding. False: the answer is set.
bool ingest_decode(struct request *request);

// ---- customer.c, contact.c

void customer_ask(struct request *request);
void customer_finish(struct request *request);
void contact_ask(struct request *request);
void contact_finish(struct request *request);

// ---- unsubscribe.c

void unsubscribe_show(struct request *request);
void unsubscribe_take(struct request *request);
void unsubscribe_finish(struct request *request);

// ---- submit.c

// Takes the event, gives it to the kit with the flags of kit_submit, and suspends the request; its
// route's finish finds acks[0], details[0] and verdict. What the kit does not take is busy.
void submit_one(struct request *request, touchbus_event *event, unsigned flags);

// ---- origin.c

// The origin of the request where --allow-origin has it; NULL: no script of it reads the answer.
const char *origin_allowed(const struct request *request);
// Answers OPTIONS.
void origin_preflight(struct request *request);

// ---- server.c

int server_start(struct web *web);
void server_stop(struct web *web);
const char *request_header(const struct request *request, const char *name);

// ---- answer.c

// {"success": false, "error": text}; status 429 and 503 say Retry-After besides.
void answer_error(struct request *request, unsigned status, const char *text);
// HTML, malloc'ed, which it takes; NULL: memory was short.
void answer_page(struct request *request, unsigned status, char *text);
enum MHD_Result answer_send(struct request *request);

// ---- patience.c

enum phase { PHASE_HEADERS, PHASE_BODY, PHASE_ANSWER, PHASE_IDLE };

// libmicrohttpd's notifications of a connection's and a request's beginning.
void patience_connection(void *user, struct MHD_Connection *connection, void **context,
                         enum MHD_ConnectionNotificationCode code);
void *patience_request_line(void *user, const char *uri, struct MHD_Connection *connection);
void patience_phase(struct web *web, struct MHD_Connection *connection, enum phase phase);
// Ends those that took too long, with 408 where a request had begun.
void patience_watch(struct web *web);

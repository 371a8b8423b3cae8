// SPDX-License-Identifier: Apache-2.0
// What tryton_rpc.c (calls) and tryton_session.c (who we are there) share.
#pragma once

#include <curl/curl.h>

#include "connectors/erp/tryton_rpc.h"
#include "connectors/kit/secret.h"

enum { TRYTON_HEADER_BYTES = 512, TRYTON_URL_BYTES = 4096 };
enum { TRYTON_URL, TRYTON_USER, TRYTON_PASSWORD_FILE, TRYTON_CA_FILE, TRYTON_TEXTS };

// One request on its way, or its answer. A slot is free while easy is NULL.
struct tryton_transfer {
    struct tryton *tryton;
    CURL *easy;
    struct curl_slist *headers;
    char *body; // the request
    char *answer;
    size_t answer_size;
    char error[CURL_ERROR_SIZE];
    struct tryton_reply *reply;
    void *user;
    uint64_t session; // by which it was made
    bool is_repeated; // after a 401
    bool is_done;     // the reply is filled, waiting to be fetched
};

struct tryton {
    struct tryton_options options;
    char *texts[TRYTON_TEXTS]; // what options point to
    CURLM *multi;
    struct tryton_transfer transfers[TRYTON_CALLS_MAX];
    size_t n_under_way;

    uint64_t session;                        // counts up with each login; 0: never
    char authorization[TRYTON_HEADER_BYTES]; // header line; "": no session
    json_int_t uid;
    json_t *context; // the user's own

    uint64_t refused_hash; // of the password that was refused; 0: none
    int64_t refused_us;
    int64_t failed_us; // the last login that failed; 0: none
    char failed_words[TRYTON_WORDS_BYTES];
    char away_words[TRYTON_WORDS_BYTES]; // why it is away, as the log has it; "": it is not
};

// ---- tryton_rpc.c

// Prepares easy, headers and the callbacks; body is taken. 0; -ENOMEM.
int transfer_open(struct tryton *tryton, struct tryton_transfer *transfer, char *body);
void transfer_close(struct tryton_transfer *transfer);
// Reads what became of it, once curl is done with it.
void transfer_read(const struct tryton_transfer *transfer, CURLcode code,
                   struct tryton_reply *reply);

// ---- tryton_session.c

// Has a session when true is returned; else reply says why not.
bool session_open(struct tryton *tryton, struct tryton_reply *reply);
void session_forget(struct tryton *tryton);
// What became of a call: that Tryton is away is said once for each reason, and when it is back.
void session_note(struct tryton *tryton, const struct tryton_reply *reply);
// Frees what options point to.
void options_clear_texts(struct tryton *tryton);

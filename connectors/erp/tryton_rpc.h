// SPDX-License-Identifier: Apache-2.0
// A Tryton 6.0 server as something to call: JSON-RPC over HTTP, with a session that is opened when
// it is needed and once more when the server says that it is over. Several calls may be under way
// at once. Every wait has a bound; what became of a call is one of the classes of tryton_reply.h.
//
// A call that was AWAY or RETRY may have been carried out all the same: ask for the state before
// making it again. Nothing here repeats a call by itself, but after a 401, which did nothing.
//
// One thread.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connectors/dialect/tryton_reply.h"

enum {
    TRYTON_CALLS_MAX = 8,     // under way at once
    TRYTON_CONNECT_MS = 5000, // until the connection stands
    TRYTON_FAILED_MS = 200,   // a login that failed is not tried again before
    TRYTON_LOGIN_WAIT_S = 60, // a refused password is not tried again before, unless it changed:
                              // Tryton locks a user out after 5 attempts within 5 minutes
};

struct tryton_options {
    const char *url;           // http[s]://HOST[:PORT]/DATABASE
    const char *user;          // login name
    const char *password_file; // NULL: the environment's TOUCHBUS_TRYTON_PASSWORD
    const char *ca_file;       // whom to believe certificates; NULL: the system's
    int64_t timeout_us;        // for one call
    void (*beat)(void *user);  // called at least each second of a wait; may be NULL
    void *beat_user;
};

#define TRYTON_PASSWORD_VARIABLE "TOUCHBUS_TRYTON_PASSWORD"

struct tryton;

// Options are copied. Nothing is connected yet. 0; -ENOMEM.
int tryton_new(const struct tryton_options *options, struct tryton **ret);
// From the next call on with these; where address, user or password file are others, with a new
// session, asked for at once. While no call is under way. 0; -ENOMEM: as before.
int tryton_redirect(struct tryton *tryton, const struct tryton_options *options);
// Calls under way are dropped. Takes NULL; returns NULL.
struct tryton *tryton_free(struct tryton *tryton);

// ---- one call

// Calls and waits. params is taken: the list of arguments without the context; context, taken too,
// is added to the user's own (company, language), NULL: nothing. Read reply->class; the caller has
// reply->result. "model.sale.sale.search_read", json_pack("[...]"), NULL, &reply.
void tryton_call(struct tryton *tryton, const char *method, json_t *params, json_t *context,
                 struct tryton_reply *reply);

// ---- several

// Starts a call; at most TRYTON_CALLS_MAX are under way. reply is borrowed until tryton_wait has
// returned user for it. What cannot be started is answered by tryton_wait as well. From a call's
// start to its answer reply->class is not to be read.
void tryton_start(struct tryton *tryton, const char *method, json_t *params, json_t *context,
                  struct tryton_reply *reply, void *user);
// Waits for any: the user of a call whose reply is there; NULL: none is under way.
void *tryton_wait(struct tryton *tryton);
size_t tryton_under_way(const struct tryton *tryton);

// ---- around

// The user's company there; 0 before the first session.
json_int_t tryton_company(const struct tryton *tryton);
// Who we are there, as create_uid has it; likewise.
json_int_t tryton_user(const struct tryton *tryton);
// Releases reply->result.
void tryton_reply_clear(struct tryton_reply *reply);

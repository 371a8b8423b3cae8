// SPDX-License-Identifier: Apache-2.0
// One connection to a PostgreSQL server: made when it is needed, made anew when it broke, with
// every wait bounded and every error put into a class. Nothing here blocks longer than its bound:
// a server that accepts and never answers is away, as one that is not there.
//
// Texts for logs (`why`) never hold a value of a row: of an error in the data they name the
// SQLSTATE, table, column and constraint only.
#pragma once

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    POSTGRES_WHY_BYTES = 256,
    POSTGRES_CONNECT_MS_MAX = 5000, // from the first packet to a session that is ready
    POSTGRES_ANSWER_MS_MAX = 10000, // for an answer to what was sent, where nothing else is said
    POSTGRES_BEAT_MS = 250,         // beat is called at least this often while waiting
    POSTGRES_BACK_OFF_MS_MIN = 250, // after a connection failed: not before, then doubled
    POSTGRES_BACK_OFF_MS_MAX = 2000,
};

// What an error means for whoever met it. Anything but DONE has rolled the transaction back, or
// will when postgres_roll_back is called.
enum postgres_class {
    POSTGRES_DONE,
    POSTGRES_REFUSED, // the data is at fault (SQLSTATE 22, 23 and the like): never as it is
    POSTGRES_AGAIN,   // lost against another transaction (40): the same again, at once
    POSTGRES_AWAY,    // not there, full, shutting down, wrongly set up: later
};

struct postgres_conf {
    const char *connection;        // URI or keywords, without a password
    const char *password_file;     // read anew at each connection (kit_secret_read), may be NULL
    const char *password_variable; // where there is no file; neither: libpq's PGPASSFILE
    const char *application;       // shown in pg_stat_activity
    const char *set_up;            // script run at each new connection, may be NULL
    void (*beat)(void *user);      // may be NULL
    void *user;
};

struct postgres;

// Whether connection is one, and has no password in it. 0; -EINVAL and one line.
int postgres_check(const char *connection, char *error, size_t error_size);
// Whether the server's certificate is checked though the string does not ask for it: over a
// network.
bool postgres_checks_certificate(const char *connection);
// All of conf is copied but user. Does not connect. 0 or a negative errno.
int postgres_new(const struct postgres_conf *conf, struct postgres **ret);
// From now on that connection and password file (of conf nothing else is read). Where they are
// other ones the connection is dropped, and the next postgres_connect waits for no back-off. 0;
// -ENOMEM: as before.
int postgres_redirect(struct postgres *postgres, const struct postgres_conf *conf);
struct postgres *postgres_free(struct postgres *postgres); // takes NULL; returns NULL

// Where there is no connection, or it broke: makes one, unless the last attempt was too short a
// while ago. DONE or AWAY and why (POSTGRES_WHY_BYTES, as everywhere here).
enum postgres_class postgres_connect(struct postgres *postgres, char *why);
// Ends the connection at once; the next postgres_connect makes another.
void postgres_drop(struct postgres *postgres);
// The connection, NULL where there is none. For PQsend... and PQnotifies; it is in
// non-blocking mode. Waiting is postgres_wait's.
PGconn *postgres_handle(struct postgres *postgres);
// Its socket for poll, -1 where there is none.
int postgres_socket(const struct postgres *postgres);
// Rises with each connection: what was prepared in another one is gone.
uint64_t postgres_generation(const struct postgres *postgres);

// Runs one statement with text parameters ($1...; NULL is NULL). *ret (may be NULL) is the caller's
// to PQclear, set only with DONE.
enum postgres_class postgres_exec(struct postgres *postgres, const char *statement, int n_values,
                                  const char *const *values, PGresult **ret, char *why);
// The same for a statement without parameters that may take long.
enum postgres_class postgres_exec_long(struct postgres *postgres, const char *statement,
                                       int64_t timeout_ms, PGresult **ret, char *why);
// Runs a script of statements, as long as it takes up to timeout_ms.
enum postgres_class postgres_script(struct postgres *postgres, const char *script,
                                    int64_t timeout_ms, char *why);
// Sends what waits and waits for the next result of what was sent with PQsend...; *ret is NULL at
// the end of a statement's results, and the caller's to PQclear. An error result has its class and
// is cleared. The connection is dropped where no answer comes within timeout_ms.
enum postgres_class postgres_wait(struct postgres *postgres, int64_t timeout_ms, PGresult **ret,
                                  char *why);
// libpq could not send or receive: why in its words, and the connection is dropped. AWAY.
enum postgres_class postgres_lost(struct postgres *postgres, char *why);
// Ends a transaction that failed; does nothing where there is none. A connection that does not
// answer to it is dropped.
void postgres_roll_back(struct postgres *postgres);

// postgres_error.c: the class of a result, and why in words that may be logged.
enum postgres_class postgres_judge(const PGresult *result, char *why);
// The class of a SQLSTATE (five characters); NULL: AWAY.
enum postgres_class postgres_class_of(const char *state);
// A text of libpq about the connection as one line without quotes.
void postgres_line(const char *text, char *why);

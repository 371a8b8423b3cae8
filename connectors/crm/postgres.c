// SPDX-License-Identifier: Apache-2.0
// The connection. libpq is used in its non-blocking form alone, so that a wait is a poll with a
// bound of ours; only the look-up of a host's name is the resolver's.
#include "connectors/crm/postgres.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/kit/secret.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/base/logging.h"

struct postgres {
    char *connection, *password_file, *password_variable, *application, *set_up;
    void (*beat)(void *user);
    void *user;
    PGconn *handle;
    uint64_t generation;
    int64_t back_off_ms, not_before_us; // 0: the last attempt worked
    char why[POSTGRES_WHY_BYTES];       // of the last one that did not
};

// ---- options

static void copy_line(const char *text, char *error, size_t error_size) {
    char line[POSTGRES_WHY_BYTES];
    postgres_line(text, line);
    snprintf(error, error_size, "%s", line);
}

// What the string itself says; NULL: nothing.
static const char *find(const PQconninfoOption *parsed, const char *keyword) {
    for (const PQconninfoOption *row = parsed; row != NULL && row->keyword != NULL; row++) {
        if (strcmp(row->keyword, keyword) == 0) {
            return row->val;
        }
    }
    return NULL;
}

int postgres_check(const char *connection, char *error, size_t error_size) {
    char *complaint = NULL;
    PQconninfoOption *parsed = PQconninfoParse(connection, &complaint);
    int r = 0;
    if (parsed == NULL) {
        // libpq's own words may quote what stands where a password was meant.
        snprintf(error, error_size, "%s",
                 "the connection to PostgreSQL is no URI and no list of keywords");
        r = -EINVAL;
    } else if (find(parsed, "password") != NULL || find(parsed, "sslpassword") != NULL) {
        copy_line("the connection to PostgreSQL has a password in it, where others can read it: "
                  "give it in a file",
                  error, error_size);
        r = -EINVAL;
    }
    PQconninfoFree(parsed);
    PQfreemem(complaint);
    return r;
}

static bool is_local(const char *host) {
    return host == NULL || host[0] == '\0' || host[0] == '/' || host[0] == '@' ||
           strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
           strncmp(host, "127.", 4) == 0;
}

// Over a network a server's certificate is checked unless the operator says otherwise; libpq alone
// would take any, or none.
static bool checks_certificate(const char *connection) {
    PQconninfoOption *parsed = PQconninfoParse(connection, NULL);
    const char *host = find(parsed, "host"), *address = find(parsed, "hostaddr");
    bool remote = !is_local(host != NULL ? host : address) && getenv("PGSSLMODE") == NULL;
    PQconninfoFree(parsed);
    return remote;
}

// ---- life

static char *copy(const char *text, bool *ret_fails) {
    char *copied = text != NULL ? strdup(text) : NULL;
    *ret_fails = *ret_fails || (text != NULL && copied == NULL);
    return copied;
}

int postgres_new(const struct postgres_conf *conf, struct postgres **ret) {
    struct postgres *postgres = calloc(1, sizeof(*postgres));
    if (postgres == NULL) {
        return -ENOMEM;
    }
    bool fails = false;
    postgres->connection = copy(conf->connection, &fails);
    postgres->password_file = copy(conf->password_file, &fails);
    postgres->password_variable = copy(conf->password_variable, &fails);
    postgres->application = copy(conf->application, &fails);
    postgres->set_up = copy(conf->set_up, &fails);
    postgres->beat = conf->beat;
    postgres->user = conf->user;
    if (fails) {
        postgres_free(postgres);
        return -ENOMEM;
    }
    *ret = postgres;
    return 0;
}

struct postgres *postgres_free(struct postgres *postgres) {
    if (postgres != NULL) {
        postgres_drop(postgres);
        free(postgres->connection);
        free(postgres->password_file);
        free(postgres->password_variable);
        free(postgres->application);
        free(postgres->set_up);
        free(postgres);
    }
    return NULL;
}

void postgres_drop(struct postgres *postgres) {
    PQfinish(postgres->handle);
    postgres->handle = NULL;
}

PGconn *postgres_handle(struct postgres *postgres) {
    return postgres->handle;
}

int postgres_socket(const struct postgres *postgres) {
    return postgres->handle != NULL ? PQsocket(postgres->handle) : -1;
}

uint64_t postgres_generation(const struct postgres *postgres) {
    return postgres->generation;
}

// ---- waiting

// Until the socket is ready, at most a beat's time. False: the limit is reached.
static bool wait_socket(const struct postgres *postgres, short events, int64_t limit_us) {
    int64_t left_ms = (limit_us - clock_monotonic_us() + CLOCK_US_PER_MS - 1) / CLOCK_US_PER_MS;
    if (left_ms <= 0) {
        return false;
    }
    struct pollfd look = {.fd = PQsocket(postgres->handle), .events = events};
    int slice_ms = left_ms > 0 && left_ms < POSTGRES_BEAT_MS ? (int)left_ms : POSTGRES_BEAT_MS;
    if (poll(&look, 1, slice_ms) == 0 && postgres->beat != NULL) {
        postgres->beat(postgres->user);
    }
    return true;
}

static enum postgres_class lost(struct postgres *postgres, char *why) {
    char line[POSTGRES_WHY_BYTES];
    postgres_line(PQerrorMessage(postgres->handle), line);
    snprintf(why, POSTGRES_WHY_BYTES, "postgres: %.240s",
             line[0] != '\0' ? line : "connection lost");
    postgres_drop(postgres);
    return POSTGRES_AWAY;
}

static enum postgres_class silent(struct postgres *postgres, int64_t timeout_ms, char *why) {
    snprintf(why, POSTGRES_WHY_BYTES, "postgres: no answer within %lld ms", (long long)timeout_ms);
    postgres_drop(postgres);
    return POSTGRES_AWAY;
}

enum postgres_class postgres_wait(struct postgres *postgres, int64_t timeout_ms, PGresult **ret,
                                  char *why) {
    PGconn *handle = postgres->handle;
    int64_t limit_us = clock_monotonic_us() + timeout_ms * CLOCK_US_PER_MS;
    *ret = NULL;
    for (int waiting = 1; waiting != 0;) {
        int unsent = PQflush(handle);
        if (unsent < 0 || PQconsumeInput(handle) == 0) {
            return lost(postgres, why);
        }
        waiting = PQisBusy(handle);
        if (waiting != 0 &&
            !wait_socket(postgres, (short)(unsent != 0 ? POLLIN | POLLOUT : POLLIN), limit_us)) {
            return silent(postgres, timeout_ms, why);
        }
    }
    PGresult *result = PQgetResult(handle);
    enum postgres_class class = postgres_judge(result, why);
    if (result == NULL || class == POSTGRES_DONE) {
        *ret = result;
        return POSTGRES_DONE;
    }
    PQclear(result);
    if (PQstatus(handle) == CONNECTION_BAD) {
        postgres_drop(postgres);
    }
    return class;
}

enum postgres_class postgres_copy(struct postgres *postgres, const char *bytes, size_t size,
                                  char *why) {
    enum { PIECE = 1 << 16 };
    int64_t limit_us = clock_monotonic_us() + POSTGRES_ANSWER_MS_MAX * CLOCK_US_PER_MS;
    while (size > 0) {
        int piece = size < PIECE ? (int)size : PIECE;
        int r = PQputCopyData(postgres->handle, bytes, piece);
        if (r < 0) {
            return lost(postgres, why);
        }
        if (r > 0) {
            bytes += piece;
            size -= (size_t)piece;
        } else if (!wait_socket(postgres, POLLOUT, limit_us)) {
            return silent(postgres, POSTGRES_ANSWER_MS_MAX, why);
        }
    }
    return POSTGRES_DONE;
}

// ---- connecting

static enum postgres_class failed(struct postgres *postgres, char *why) {
    int64_t doubled = 2 * postgres->back_off_ms;
    postgres->back_off_ms = doubled < POSTGRES_BACK_OFF_MS_MIN   ? POSTGRES_BACK_OFF_MS_MIN
                            : doubled > POSTGRES_BACK_OFF_MS_MAX ? POSTGRES_BACK_OFF_MS_MAX
                                                                 : doubled;
    postgres->not_before_us = clock_monotonic_us() + postgres->back_off_ms * CLOCK_US_PER_MS;
    postgres_drop(postgres);
    if (strcmp(postgres->why, why) != 0) { // a reason is logged once, another one again
        logging_warning("connection=%s away detail=\"%s\"", postgres->application, why);
    }
    snprintf(postgres->why, sizeof(postgres->why), "%s", why);
    return POSTGRES_AWAY;
}

static void ignore_notice(void *user, const PGresult *notice) {
    (void)user, (void)notice; // it may quote values
}

static enum postgres_class start(struct postgres *postgres, char *why) {
    _cleanup_(kit_secret_clear) struct kit_secret secret = {.size = 0};
    char complaint[KIT_SECRET_WHY_BYTES];
    int r =
        kit_secret_read(postgres->password_file, postgres->password_variable, &secret, complaint);
    if (r < 0) {
        postgres_line(complaint, why);
        return POSTGRES_AWAY;
    }
    // The first two may be overridden by the string, what follows it may not.
    bool checks = checks_certificate(postgres->connection);
    const char *const names[] = {"sslmode",
                                 "sslrootcert",
                                 "dbname",
                                 "application_name",
                                 "client_encoding",
                                 r == 0 ? "password" : NULL,
                                 NULL};
    const char *const values[] = {checks ? "verify-full" : NULL,
                                  checks ? "/etc/ssl/certs/ca-certificates.crt" : NULL,
                                  postgres->connection,
                                  postgres->application,
                                  "UTF8",
                                  secret.text,
                                  NULL};
    postgres->handle = PQconnectStartParams(names, values, 1);
    if (postgres->handle == NULL || PQstatus(postgres->handle) == CONNECTION_BAD) {
        return lost(postgres, why);
    }
    return POSTGRES_DONE;
}

static enum postgres_class dial(struct postgres *postgres, char *why) {
    int64_t limit_us = clock_monotonic_us() + POSTGRES_CONNECT_MS_MAX * CLOCK_US_PER_MS;
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    if (start(postgres, why) != POSTGRES_DONE) {
        return POSTGRES_AWAY;
    }
    while (state != PGRES_POLLING_OK) {
        if (state == PGRES_POLLING_FAILED) {
            return lost(postgres, why);
        }
        if (!wait_socket(postgres, state == PGRES_POLLING_READING ? POLLIN : POLLOUT, limit_us)) {
            return silent(postgres, POSTGRES_CONNECT_MS_MAX, why);
        }
        struct pollfd look = {.fd = PQsocket(postgres->handle),
                              .events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        if (poll(&look, 1, 0) > 0) {
            state = PQconnectPoll(postgres->handle);
        }
    }
    PQsetNoticeReceiver(postgres->handle, ignore_notice, NULL);
    return PQsetnonblocking(postgres->handle, 1) == 0 ? POSTGRES_DONE : lost(postgres, why);
}

enum postgres_class postgres_connect(struct postgres *postgres, char *why) {
    if (postgres->handle != NULL && PQstatus(postgres->handle) == CONNECTION_OK) {
        return POSTGRES_DONE;
    }
    postgres_drop(postgres);
    if (postgres->back_off_ms != 0 && clock_monotonic_us() < postgres->not_before_us) {
        snprintf(why, POSTGRES_WHY_BYTES, "%s", postgres->why);
        return POSTGRES_AWAY;
    }
    enum postgres_class class = dial(postgres, why);
    if (class == POSTGRES_DONE && postgres->set_up != NULL) {
        class = postgres_script(postgres, postgres->set_up, POSTGRES_ANSWER_MS_MAX, why);
    }
    if (class != POSTGRES_DONE) {
        return failed(postgres, why);
    }
    postgres->back_off_ms = 0;
    postgres->why[0] = '\0';
    postgres->generation++;
    return POSTGRES_DONE;
}

// ---- statements

// The results of what was sent, to their end; the first error counts.
static enum postgres_class finish(struct postgres *postgres, int64_t timeout_ms, PGresult **ret,
                                  char *why) {
    enum postgres_class class = POSTGRES_DONE;
    PGresult *last = NULL;
    while (postgres->handle != NULL) {
        PGresult *result;
        char other[POSTGRES_WHY_BYTES];
        bool first = class == POSTGRES_DONE;
        enum postgres_class now = postgres_wait(postgres, timeout_ms, &result, first ? why : other);
        if (now == POSTGRES_DONE && result == NULL) {
            break;
        }
        class = first ? now : class;
        PQclear(last);
        last = result;
    }
    if (ret != NULL && class == POSTGRES_DONE) {
        *ret = last;
    } else {
        PQclear(last);
    }
    return class;
}

enum postgres_class postgres_exec(struct postgres *postgres, const char *statement, int n_values,
                                  const char *const *values, PGresult **ret, char *why) {
    if (postgres->handle == NULL) {
        snprintf(why, POSTGRES_WHY_BYTES, "postgres: not connected");
        return POSTGRES_AWAY;
    }
    if (PQsendQueryParams(postgres->handle, statement, n_values, NULL, values, NULL, NULL, 0) ==
        0) {
        return lost(postgres, why);
    }
    return finish(postgres, POSTGRES_ANSWER_MS_MAX, ret, why);
}

enum postgres_class postgres_exec_long(struct postgres *postgres, const char *statement,
                                       int64_t timeout_ms, PGresult **ret, char *why) {
    if (postgres->handle == NULL) {
        snprintf(why, POSTGRES_WHY_BYTES, "postgres: not connected");
        return POSTGRES_AWAY;
    }
    if (PQsendQuery(postgres->handle, statement) == 0) {
        return lost(postgres, why);
    }
    return finish(postgres, timeout_ms, ret, why);
}

enum postgres_class postgres_script(struct postgres *postgres, const char *script,
                                    int64_t timeout_ms, char *why) {
    return postgres_exec_long(postgres, script, timeout_ms, NULL, why);
}

void postgres_roll_back(struct postgres *postgres) {
    char why[POSTGRES_WHY_BYTES];
    PGTransactionStatusType status =
        postgres->handle != NULL ? PQtransactionStatus(postgres->handle) : PQTRANS_IDLE;
    if (status == PQTRANS_IDLE) {
        return;
    }
    // In the middle of a COPY or of answers nobody waits for: what is begun ends with the session.
    if (status == PQTRANS_ACTIVE ||
        postgres_script(postgres, "ROLLBACK", POSTGRES_ANSWER_MS_MAX, why) != POSTGRES_DONE) {
        postgres_drop(postgres);
    }
}

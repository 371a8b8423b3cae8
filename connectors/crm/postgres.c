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

static bool is_same(const char *a, const char *b) {
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

int postgres_redirect(struct postgres *postgres, const struct postgres_conf *conf) {
    bool fails = false;
    if (is_same(postgres->connection, conf->connection) &&
        is_same(postgres->password_file, conf->password_file)) {
        return 0;
    }
    char *connection = copy(conf->connection, &fails);
    char *password_file = copy(conf->password_file, &fails);
    if (fails) {
        free(connection);
        free(password_file);
        return -ENOMEM;
    }
    free(postgres->connection);
    free(postgres->password_file);
    postgres->connection = connection;
    postgres->password_file = password_file;
    postgres->back_off_ms = 0;
    postgres_drop(postgres);
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

enum postgres_class postgres_lost(struct postgres *postgres, char *why) {
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
            return postgres_lost(postgres, why);
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
    bool checks = postgres_checks_certificate(postgres->connection);
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
        return postgres_lost(postgres, why);
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
            return postgres_lost(postgres, why);
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
    return PQsetnonblocking(postgres->handle, 1) == 0 ? POSTGRES_DONE
                                                      : postgres_lost(postgres, why);
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

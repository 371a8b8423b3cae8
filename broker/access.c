// SPDX-License-Identifier: Apache-2.0
// What is in force, and its swap. Readers hold a table by count; the one that a reload replaced is
// freed by whoever lets go of it last.
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "broker/access_internal.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

enum { WHY_BYTES = 2 * CERTIFICATE_WHY_BYTES, ACCOUNTS_SHOWN_MAX = 256 };

static const struct grant local = {
    .name = "local", .role = "local", .local = true, .merge = true, .watch = true, .admin = true};

static int refused(int r, const char *why) {
    logging_error("event=access-refused error=\"%s\"", r == -ENOMEM ? "out of memory" : why);
    return r;
}

// ---- reading

// Both options or none. 1: none.
static int check_options(const struct configuration *configuration) {
    if ((configuration->key == NULL) != (configuration->clients == NULL)) {
        return refused(-EINVAL, configuration->key == NULL
                                    ? "--clients needs --key, the broker's own certificate"
                                    : "--key needs --clients, the folder of those who may connect");
    }
    return configuration->key == NULL;
}

static int read_table(const struct configuration *configuration, struct access_table **ret) {
    char why[WHY_BYTES] = "";
    struct roles roles = {0};
    int r = roles_parse(&configuration->roles, &roles, why, sizeof(why));
    if (r == 0 && configuration->clients != NULL) {
        r = access_table_read(configuration->clients, &roles, ret, why, sizeof(why));
    }
    roles_clear(&roles);
    return r != 0 ? refused(r, why) : 0;
}

static int read_own(const struct configuration *configuration, struct certificate *ret) {
    char why[WHY_BYTES] = "";
    int r = certificate_read_secret(configuration->key, ret, why);
    return r != 0 ? refused(r, why) : 0;
}

int access_check(const struct configuration *configuration) {
    struct certificate own = {0};
    struct access_table *table = NULL;
    int without = check_options(configuration);
    int r = without < 0 ? without : read_table(configuration, &table);
    r = r != 0 || without ? r : read_own(configuration, &own);
    certificate_clear(&own);
    access_table_free(table);
    return r;
}

// ---- accounts

static struct access_account *account_of(struct access *access, const char *name) {
    struct access_account *account = access->accounts;
    while (account != NULL && strcmp(account->name, name) != 0) {
        account = account->next;
    }
    if (account == NULL && access->n_accounts < ACCESS_ACCOUNTS_MAX &&
        (account = calloc(1, sizeof(*account))) != NULL) {
        memcpy(account->name, name, strlen(name) + 1);
        account->next = access->accounts;
        access->accounts = account;
        access->n_accounts++;
    }
    return account;
}

static int open_accounts(struct access *access, struct access_table *table) {
    assert(table != NULL); // --clients goes with --key
    for (size_t i = 0; i < table->n; i++) {
        table->grants[i].account = account_of(access, table->grants[i].name);
        if (table->grants[i].account == NULL) {
            return refused(-ENOSPC, "more names than one process keeps accounts for; restart it");
        }
    }
    return 0;
}

// ---- start and end

static int open_keys(struct access *access, const struct configuration *configuration) {
    int r = read_own(configuration, &access->own);
    r = r != 0 ? r : read_table(configuration, &access->table);
    if (r != 0) {
        return r;
    }
    r = open_accounts(access, access->table);
    if (r != 0) {
        return r;
    }
    access->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r = access->stop < 0 ? -errno : access_zap_start(access);
    if (r == 0) {
        logging_info("event=keys-in-force n=%zu", access->table->n);
    }
    return r;
}

int access_new(const struct configuration *configuration, void *zmq, struct access **ret) {
    int without = check_options(configuration);
    if (without < 0) {
        return without;
    }
    struct access *access = calloc(1, sizeof(*access));
    if (access == NULL) {
        return -ENOMEM;
    }
    access->zmq = zmq;
    access->stop = -1;
    pthread_mutex_init(&access->lock, NULL);
    struct access_table *unused = NULL;
    int r = without ? read_table(configuration, &unused) : open_keys(access, configuration);
    access_table_free(unused);
    if (r != 0) {
        access_free(access);
        return r;
    }
    *ret = access;
    return 0;
}

struct access *access_free(struct access *access) {
    if (access == NULL) {
        return NULL;
    }
    access_zap_stop(access);
    if (access->stop >= 0) {
        close(access->stop);
    }
    while (access->accounts != NULL) {
        struct access_account *account = access->accounts;
        access->accounts = account->next;
        free(account);
    }
    access_table_free(access->table);
    certificate_clear(&access->own);
    pthread_mutex_destroy(&access->lock);
    free(access);
    return NULL;
}

bool access_has_keys(const struct access *access) {
    return access != NULL && access->own.public_key[0] != '\0';
}

int access_guard_socket(struct access *access, void *socket) {
    static const char domain[] = "touchbus";
    const int on = 1;
    if (!access_has_keys(access)) {
        return 0;
    }
    // Without an answer of the ZAP handler everybody gets in: access_prove looks. Their messages
    // would have no User-Id, and be refused.
    if (zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &on, sizeof(on)) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, access->own.secret_key,
                       sizeof(access->own.secret_key)) != 0 ||
        zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, domain, sizeof(domain) - 1) != 0) {
        return -errno;
    }
    return 0;
}

// ---- the swap

// Under the lock. One hold is that of being in force.
static void let_go(struct access_table *table) {
    table->n_holds--;
    if (table->n_holds == 0) {
        access_table_free(table);
    }
}

int access_reload(struct access *access, const struct configuration *configuration,
                  json_t **ret_changes) {
    struct access_table *table = NULL;
    *ret_changes = NULL;
    int r = read_table(configuration, &table);
    if (r != 0 || access->table == NULL) {
        access_table_free(table);
        return r;
    }
    r = open_accounts(access, table);
    if (r != 0) {
        access_table_free(table);
        return r;
    }
    *ret_changes = access_table_changes(access->table, table);
    pthread_mutex_lock(&access->lock);
    struct access_table *old = access->table;
    access->table = table;
    atomic_fetch_add(&access->generation, 1);
    let_go(old);
    pthread_mutex_unlock(&access->lock);
    return 0;
}

void access_reader_init(struct access_reader *reader, struct access *access) {
    *reader = (struct access_reader){.access = access};
    access_refresh(reader);
}

bool access_refresh(struct access_reader *reader) {
    struct access *access = reader->access;
    if (!access_has_keys(access) ||
        (reader->table != NULL && atomic_load(&access->generation) == reader->generation)) {
        return false;
    }
    pthread_mutex_lock(&access->lock);
    struct access_table *old = reader->table;
    reader->table = access->table;
    reader->generation = atomic_load(&access->generation);
    if (reader->table != NULL) {
        reader->table->n_holds++;
    }
    if (old != NULL) {
        let_go(old);
    }
    pthread_mutex_unlock(&access->lock);
    return old != NULL;
}

void access_reader_clear(struct access_reader *reader) {
    if (reader->access != NULL && reader->table != NULL) {
        pthread_mutex_lock(&reader->access->lock);
        let_go(reader->table);
        pthread_mutex_unlock(&reader->access->lock);
    }
    *reader = (struct access_reader){0};
}

const struct grant *access_find(const struct access_reader *reader, const char *public_key) {
    return reader->table == NULL ? &local : access_table_find(reader->table, public_key);
}

const struct grant *access_of(const struct access_reader *reader, zmq_msg_t *message) {
    if (reader->table == NULL) {
        return &local;
    }
    const char *user = zmq_msg_gets(message, "User-Id");
    return user == NULL ? NULL : access_table_find(reader->table, user);
}

// ---- status

static json_int_t number(atomic_uint_fast64_t *counter) {
    return (json_int_t)atomic_load(counter);
}

json_t *access_status(struct access *access) {
    if (!access_has_keys(access)) {
        return NULL;
    }
    struct access_reader reader;
    access_reader_init(&reader, access);
    json_t *rows = json_array();
    for (size_t i = 0; i < reader.table->n && json_array_size(rows) < ACCOUNTS_SHOWN_MAX; i++) {
        const struct grant *grant = reader.table->by_name[i];
        if (i > 0 && grant->account == reader.table->by_name[i - 1]->account) {
            continue; // a rotation: one account
        }
        json_array_append_new(rows,
                              json_pack("{s:s, s:s, s:I, s:I, s:I}", "name", grant->name, "role",
                                        grant->role, "events", number(&grant->account->events),
                                        "forbidden", number(&grant->account->forbidden), "busy",
                                        number(&grant->account->busy)));
    }
    json_t *json =
        json_pack("{s:I, s:I, s:I, s:I, s:o}", "keys", (json_int_t)reader.table->n, "handshakes",
                  number(&access->accepted), "unknown_keys", number(&access->unknown),
                  "bad_handshakes", number(&access->malformed), "accounts", rows);
    access_reader_clear(&reader);
    return json;
}

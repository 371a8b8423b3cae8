// SPDX-License-Identifier: Apache-2.0
// Inside access: roles (access_roles.c), the table of certificates (access_table.c), the swap
// (access.c), the ZAP handler (access_zap.c) and the proof at start (access_proof.c).
#pragma once

#include <pthread.h>

#include "broker/access.h"

// ---- access_roles.c

// A --role row as it was parsed: %n is not put in yet.
struct role {
    char name[NAME_BYTES_MAX + 1];
    struct globs publish, source, subscribe, receive, read;
    int64_t quota;
    bool merge, watch, admin;
};

struct roles {
    struct role *rows; // the operator's, then the built-in ones
    size_t n;
};

// Parses rows of --role. 0; -EINVAL with one line in why that names the token; -ENOMEM.
int roles_parse(const struct option_list *list, struct roles *ret, char *why, size_t why_size);
void roles_clear(struct roles *roles);
const struct role *roles_find(const struct roles *roles, const char *name); // NULL: none
// The rights of a role for a key of this name; the rest of *ret stays. 0 or -ENOMEM.
int role_grant(const struct role *role, const char *name, struct grant *ret);
void grant_clear(struct grant *grant);

// ---- access_table.c

struct access_table {
    unsigned n_holds;     // its readers, and one while it is in force; under access->lock
    struct grant *grants; // by public key
    size_t n;
    const struct grant **by_name;
};

// Reads every NAME.key of a folder. 0; a negative errno with one line in why, which names the
// file. The grants have no account yet.
int access_table_read(const char *folder, const struct roles *roles, struct access_table **ret,
                      char *why, size_t why_size);
struct access_table *access_table_free(struct access_table *table);
const struct grant *access_table_find(const struct access_table *table, const char *public_key);
bool access_table_has_name(const struct access_table *table, const char *name, size_t size);
// What a reload changed: names and the first characters of public keys.
json_t *access_table_changes(const struct access_table *old, const struct access_table *new);

// ---- access.c

struct access {
    void *zmq;
    struct certificate own;     // --key
    pthread_mutex_t lock;       // of the tables' holds and of a swap
    struct access_table *table; // in force; NULL: no keys
    atomic_uint generation;
    struct access_account *accounts; // only added to, by the tick thread
    size_t n_accounts;

    // ZAP
    void *zap;
    int stop; // eventfd
    pthread_t thread;
    bool running;
    // The key that access_prove lets in while it looks.
    char proof_key[CERTIFICATE_KEY_CHARS + 1];
    atomic_bool proving;
    atomic_uint_fast64_t accepted, unknown, malformed;
};

// ---- access_zap.c
int access_zap_start(struct access *access); // 0 or a negative errno
void access_zap_stop(struct access *access);

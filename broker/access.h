// SPDX-License-Identifier: Apache-2.0
// Access: who is on the other side, and what that key may do. Identity is the CURVE key alone: the
// ZAP handler lets known keys in and marks each of their messages with the key (User-Id); whoever
// takes a message asks here for the key's grant. What is in force is a table that never changes: a
// reload makes another one and swaps them, and each thread takes the new one up at the beginning
// of its next turn, so that looking up a grant takes no lock. Without keys there is one grant,
// local, that may do everything.
#pragma once

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zmq.h>

#include "broker/configuration.h"
#include "schemas/base/certificate.h"
#include "schemas/limits.h"

struct access;
struct access_table;

enum {
    ACCESS_KEYS_MAX = 4096, // certificates in --clients
    ACCESS_ROLES_MAX = 256,
    ACCESS_GLOBS_MAX = 64,         // of one right
    ACCESS_ACCOUNTS_MAX = 16384,   // names ever known to one process
    ACCESS_SUBSCRIPTIONS_MAX = 64, // durable ones that one key made
    ACCESS_MEMBERS_MAX = 256,      // connections at the subscribe socket, a key
    ACCESS_QUOTA_MAX = 1000000000, // events a second
};

struct globs {
    char **patterns; // owned
    size_t n;
};

// What belongs to a name as long as the process lives, however its keys and roles change.
struct access_account {
    struct access_account *next;
    char name[NAME_BYTES_MAX + 1];
    // The tick's own: what is left of its quota, as of when.
    int64_t tokens, tokens_us;
    uint64_t n_late; // rows put aside while the quarantine was more than half full
    atomic_uint_fast64_t events, forbidden, busy;
};

// What one key may do. Constant.
struct grant {
    char name[NAME_BYTES_MAX + 1], role[NAME_BYTES_MAX + 1];
    char public_key[CERTIFICATE_KEY_CHARS + 1];
    struct globs publish; // event types
    struct globs source;  // CloudEvents sources; none: those that belong to its name
    struct globs subscribe, receive, read;
    int64_t quota; // events a second, 0: none
    bool merge, watch, admin;
    bool local;                     // without keys: everything
    struct access_account *account; // NULL: local
    const struct access_table *table;
};

// A thread's hold on the table in force.
struct access_reader {
    struct access *access;
    struct access_table *table;
    unsigned generation;
};

// Reads --key, --clients and --role, and starts the ZAP handler's thread where there are keys; so
// before any socket is bound. 0; a negative errno after one log line that says which option, file
// or token is wrong.
int access_new(const struct configuration *configuration, void *zmq, struct access **ret);
struct access *access_free(struct access *access); // takes NULL; no reader may be left
// For --check: 0 where access_new would work, as far as can be told without touching anything.
int access_check(const struct configuration *configuration);
bool access_has_keys(const struct access *access); // takes NULL
// Makes a socket take known keys only; nothing without keys. Before it is bound. 0 or a negative
// errno.
int access_guard_socket(struct access *access, void *socket);
// Proves at a bound socket that an unknown key is refused and a known one is let in, with keys
// made for that. 0; -EACCES after one log line: the broker must not serve.
int access_prove(struct access *access, const char *address);
// Reads certificates and roles anew. 0, and *ret_changes says what changed (a new object; NULL
// where there are no keys); a negative errno after one log line: what was in force stays.
int access_reload(struct access *access, const struct configuration *configuration,
                  json_t **ret_changes);
// Keys, handshakes, and the accounts, for status. A new object, NULL without keys.
json_t *access_status(struct access *access);

// ---- readers: one a thread. access may be NULL: without keys.
void access_reader_init(struct access_reader *reader, struct access *access);
void access_reader_clear(struct access_reader *reader);
// Takes up the table in force; grants found before are gone then. True where it is another one.
bool access_refresh(struct access_reader *reader);
// The grant of the key that a message came with; NULL: not known (any more). Valid until the next
// access_refresh.
const struct grant *access_of(const struct access_reader *reader, zmq_msg_t *message);
// The same by the key's text; "" without keys.
const struct grant *access_find(const struct access_reader *reader, const char *public_key);

// ---- what a grant allows
bool grant_may_publish(const struct grant *grant, const char *type);
bool grant_may_use_source(const struct grant *grant, const char *source);
// Whether a producer's or a connector's name belongs to the key: its own name, or that with
// something behind '/' or '.', or the kit's 8 hexadecimal digits behind '-'. Where another key has
// a longer name that fits, it is that one's.
bool grant_owns(const struct grant *grant, const char *name);
bool grant_may_subscribe(const struct grant *grant, const char *subscription);
// Whether every type that passes these patterns may be delivered; no patterns: all types.
bool grant_may_receive(const struct grant *grant, char *const *types, size_t n_types);
bool grant_may_read(const struct grant *grant, const char *field);
bool grant_may_read_anything(const struct grant *grant);
// Takes one event off the key's quota; false where it is used up. On the tick thread.
bool grant_take_quota(const struct grant *grant, int64_t now_us);
// Counts a refusal on its account.
void grant_count_forbidden(const struct grant *grant);

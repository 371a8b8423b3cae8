// SPDX-License-Identifier: Apache-2.0
// What clients saw of a recorded broker (load.c), each line with the size that the trace had then:
// a cut behind that size must have kept it.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ACCOUNT_NAMES_MAX = 8, ACCOUNT_NUMBERS_MAX = 1 << 20 };

enum account_kind {
    ACCOUNT_LOGGED,      // acked, also as a duplicate
    ACCOUNT_QUARANTINED, // acked as such
    ACCOUNT_JOINED,      // a named subscription has handed something out
    ACCOUNT_ERASED,      // a customer's erasure was acked: sequence is the customer
    ACCOUNT_OTHER,
};

struct account_line {
    uint64_t offset;
    enum account_kind kind;
    unsigned name;   // of the publisher, subscription
    uint64_t number; // the publisher's
    uint64_t sequence;
};

struct account {
    struct account_line *lines; // by offset
    size_t n_lines;
    char *names[ACCOUNT_NAMES_MAX];
    unsigned n_names;
    uint64_t number_max;
};

// Ends the process where a file cannot be read or understood.
struct account *account_read(char *const *files, size_t n_files);
struct account *account_free(struct account *account); // takes NULL; returns NULL
// "NAME-NUMBER" of a name that the account knows.
bool account_parse_id(const struct account *account, const char *id, unsigned *ret_name,
                      uint64_t *ret_number);

// SPDX-License-Identifier: Apache-2.0
// The policy as rows: each member of policy.h's structs with its name in the file, its type and
// what it may be. One table reads, judges, frees, prints and compares. Structs nest as deep as the
// tables do (POLICY_DEPTH), so walking them is bounded by the program, never by a file.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "broker/policy/policy.h"

enum {
    POLICY_BYTES_MAX = 1 << 20, // of a file
    POLICY_ENTRIES_MAX = 1000,  // of a list
    POLICY_VALUES_MAX = 50000,  // of a file, aliases counted each time
    POLICY_TEXT_BYTES_MAX = 2000,
    POLICY_NAME_BYTES_MAX = 128, // of what other sections or events name
    POLICY_DEPTH = 5,
    POLICY_PATH_BYTES = 512, // "offers[3].texts.de", cut where it is longer
};

enum policy_type {
    POLICY_TEXT,        // char *
    POLICY_TEXT_OR_NOT, // char *, NULL where the file has none
    POLICY_NUMBER,      // unsigned
    POLICY_SIGNED,      // int
    POLICY_REAL,        // double
    POLICY_REAL_OR_NOT, // double *, NULL where the file has none
    POLICY_FLAG,        // bool
    POLICY_MONEY,       // int64_t, millionths; "4.20"
    POLICY_DURATION,    // int64_t, microseconds; "15m", "30d"
    POLICY_CLOCK,       // int64_t, microseconds of a day; "21:00"
    POLICY_TIME,        // int64_t, microseconds since 1970; RFC 3339
    POLICY_NAMES,       // char ** and a count
    POLICY_TEXTS,       // struct policy_text * and a count; in the file a map, language: text
    POLICY_SECTION,     // a struct of its own table
    POLICY_LIST,        // an array of structs of its own table, and a count
};

// What a text has to be.
struct policy_vocabulary {
    bool (*holds)(const char *text);
    const char *expected;
};

struct policy_table;
struct policy_row {
    const char *name;
    enum policy_type type;
    size_t offset;
    size_t count_offset;             // of the unsigned that counts; NAMES, TEXTS, LIST
    const struct policy_table *rows; // SECTION, LIST
    const struct policy_vocabulary *words;
    double min, max;          // both 0: not below 0
    bool required;            // an entry of a list has to have it
    const char *default_text; // of a TEXT that an entry of a list does not have; NULL: empty
};

struct policy_table {
    const struct policy_row *rows;
    size_t n_rows;
    size_t bytes;    // of the struct
    const char *key; // the row that no two entries share; NULL: none
};

extern const struct policy_table policy_table;

// The member of a struct, to change or to look at.
static inline void *policy_member(void *object, size_t offset) {
    return (char *)object + offset;
}
static inline const void *policy_look(const void *object, size_t offset) {
    return (const char *)object + offset;
}
// The row of that name, or NULL.
const struct policy_row *policy_row(const struct policy_table *table, const char *name);
// Frees what a row, or all rows of a struct, hold, and zeroes it.
void policy_clear_row(const struct policy_row *row, void *object);
void policy_clear(const struct policy_table *table, void *object);
// The text of a scalar as the file would have it (in buffer or the policy's own); NULL: not set.
enum { POLICY_SCALAR_BYTES = 64 };
const char *policy_scalar(const struct policy_row *row, const void *object,
                          char buffer[static POLICY_SCALAR_BYTES]);

// Beyond single values: names that are given twice or not at all. 0, or -EINVAL after filling
// ret_path and ret_error with where and what.
struct policy_fault {
    char path[POLICY_PATH_BYTES];
    char text[256];
};
int policy_check(const struct policy *policy, struct policy_fault *ret);

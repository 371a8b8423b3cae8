// SPDX-License-Identifier: Apache-2.0
// What restore.c and restore_keys.c share: one restore while it lasts.
#pragma once

#include <jansson.h>
#include <limits.h>
#include <stdint.h>

#include "broker/backup/backup.h"
#include "broker/stores/keys.h"

enum { RESTORE_TEXT_BYTES = 512 };

struct restore {
    const struct restore_task *task;
    json_t *manifest;
    struct keys *keys;
    uint64_t n_lost;     // customers without a key
    char part[PATH_MAX]; // the new state while it is made
    bool has_part;
    char replaced[PATH_MAX];        // where the old one went; "": there was none
    char error[RESTORE_TEXT_BYTES]; // set by whoever says no
};

// Returns -ECANCELED: the error stands in restore.
int restore_refuse(struct restore *restore, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int restore_join(const char *dir, const char *name, char ret[static PATH_MAX]);

// Steps, in this order; each 0, or -ECANCELED, or another negative errno.
int restore_open_keys(struct restore *restore);  // the folder is what it was when it was backed up
int restore_judge_keys(struct restore *restore); // they are these stores', and new enough
int restore_judge_replaced(struct restore *restore); // no newer ones lie in what is replaced
int restore_copy_keys(struct restore *restore);

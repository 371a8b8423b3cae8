// SPDX-License-Identifier: Apache-2.0
// What outbox.c and outbox_erase.c share.
#pragma once

#include <limits.h>
#include <stdbool.h>

#include "connectors/kit/outbox.h"

enum { OUTBOX_OWNER_BYTES = 32 };

struct record {
    char name[NAME_MAX + 1];
    char owner[OUTBOX_OWNER_BYTES]; // "" nobody
    void *bytes;
    size_t size;
};

struct outbox {
    int documents_fd, records_fd;
    bool documents_changed;
    struct record records[OUTBOX_RECORDS_MAX];
    size_t n_records;
};

// A record as it is on disk; malloc'ed. 0; 1: there is none; negative errno.
int outbox_read_record(const struct outbox *outbox, const char *name, void **ret, size_t *ret_size);

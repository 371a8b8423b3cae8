// SPDX-License-Identifier: Apache-2.0
// A folder that another system renames files into, as a source: each file becomes events, whole or
// not at all, under ids that follow from its name and content. When the broker has them all the
// file moves to done, one that cannot be read to failed with the reason beside it; a crash in
// between repeats the file under the same ids.
//
// Files are taken in the order of their names. Names that begin with a dot or end in .tmp, .part or
// .new are left alone; so is what is not a regular file, and a file that cannot be understood while
// it is younger than INBOX_SETTLE_MS: it may still be growing.
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "connectors/kit/kit.h"

enum {
    INBOX_FILES_MAX = 4, // at the broker at a time
    INBOX_WHY_BYTES = 256,
    INBOX_SETTLE_MS = 2000,
};

struct inbox_options {
    const char *folder; // the inbox; done and failed are made beside it
    size_t file_bytes_max;
    // Translates a file: 0 and a new list of {type, [time], data}; 1 and why (INBOX_WHY_BYTES),
    // without personal data. Pure.
    int (*read)(const void *bytes, size_t size, json_t **ret, char *why);
    const char *channel; // of the events
};

struct inbox;

// Makes the folders and watches the inbox. Options are borrowed. 0; negative errno after one logged
// line.
int inbox_open(struct kit *kit, const struct inbox_options *options, struct inbox **ret);
struct inbox *inbox_close(struct inbox *inbox); // takes NULL; returns NULL
// The descriptor's collect and settled.
int inbox_collect(struct inbox *inbox);
void inbox_settled(struct inbox *inbox, void *item, const struct kit_ack *ack);
// Removes what done and failed keep and speaks of any of the texts (ids of an erased person's
// orders): in the file's name or as a word of its content. Reads every file there. 0; negative
// errno: do it again.
int inbox_erase(struct inbox *inbox, const char *const *texts, size_t n_texts);
// Removes files of done that are older. 0; negative errno.
int inbox_expire(struct inbox *inbox, int64_t age_us);

// SPDX-License-Identifier: Apache-2.0
// Between catalogue.c, which holds the rows, and catalogue_read.c, which makes them of text.
#pragma once

#include "schemas/base/arena.h"
#include "schemas/catalogue.h"

enum {
    CATALOGUE_WORDS_MAX = 32, // on one line
    CATALOGUE_CHANNELS_MAX = CATALOGUE_WORDS_MAX,
    CATALOGUE_GROUPS_MAX = 8,
    CATALOGUE_VALUES_MAX = 32,
    CATALOGUE_SLOTS = 2 * CATALOGUE_TYPES_MAX,
};

struct catalogue {
    struct arena *arena; // owns every text and array of the rows
    struct catalogue_type *rows;
    uint16_t *slots; // CATALOGUE_SLOTS, by the name's hash: 1 + index into rows; 0: empty
    size_t n_rows;
};

struct catalogue_draft {
    struct catalogue_type type;
    struct catalogue_field fields[CATALOGUE_FIELDS_MAX];
    const char *channels[CATALOGUE_CHANNELS_MAX + 1];
    const char *one_of[CATALOGUE_GROUPS_MAX + 1];
    size_t n_channels;
    size_t n_one_of;
};

struct catalogue_reader {
    struct catalogue *catalogue;
    struct catalogue_draft draft; // its name is NULL before the first type
    const char *file;
    int line;
    bool short_of_memory;
    char *error; // malloc'ed
};

// Adds the rows of a text. 0, or -EINVAL and the reader's error.
int catalogue_read_text(struct catalogue_reader *reader, const char *file, const char *text,
                        size_t size);
// Keeps what is wrong, with file and line (0: the file as a whole). Always -EINVAL.
int catalogue_fail(struct catalogue_reader *reader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// SPDX-License-Identifier: Apache-2.0
// Holds the catalogue: the built-in rows and the operator's, in the order of the files, found by
// name. Reading them is catalogue_read.c, checking bodies against them catalogue_check.c.
#include "schemas/catalogue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/base/arena.h"
#include "schemas/base/cleanup.h"
#include "schemas/catalogue_read.h"

extern const char catalogue_text[];
extern const size_t catalogue_text_size;

enum { ARENA_BYTES_MAX = 16 << 20 };

static int read_file(struct catalogue_reader *reader, const char *path) {
    _cleanup_free_ char *text = malloc(CATALOGUE_BYTES_MAX + 1);
    FILE *file = fopen(path, "re");
    reader->file = path;
    reader->line = 0;
    if (file == NULL || text == NULL) {
        int error = errno;
        if (file != NULL) {
            fclose(file);
        }
        return catalogue_fail(reader, "%s", strerror(error));
    }
    size_t size = fread(text, 1, CATALOGUE_BYTES_MAX + 1, file);
    int error = ferror(file) ? errno : 0;
    fclose(file);
    return error != 0 ? catalogue_fail(reader, "%s", strerror(error))
                      : catalogue_read_text(reader, path, text, size);
}

_Static_assert((CATALOGUE_SLOTS & (CATALOGUE_SLOTS - 1)) == 0, "a mask picks the slot");
_Static_assert(CATALOGUE_TYPES_MAX < UINT16_MAX, "a slot holds an index");

// The slot that holds the name, or the empty one where it belongs: half of them are.
static size_t slot_of(const struct catalogue *catalogue, const char *name) {
    uint32_t hash = UINT32_C(2166136261); // FNV-1a
    for (const char *at = name; *at != '\0'; at++) {
        hash = (hash ^ (uint8_t)*at) * UINT32_C(16777619);
    }
    size_t i = (hash ^ (hash >> 16)) & (CATALOGUE_SLOTS - 1);
    while (catalogue->slots[i] != 0 &&
           strcmp(catalogue->rows[catalogue->slots[i] - 1].name, name) != 0) {
        i = (i + 1) & (CATALOGUE_SLOTS - 1);
    }
    return i;
}

static struct catalogue *catalogue_new(void) {
    struct catalogue *catalogue = calloc(1, sizeof(*catalogue));
    if (catalogue == NULL) {
        return NULL;
    }
    catalogue->arena = arena_new(ARENA_BYTES_MAX);
    catalogue->rows = calloc(CATALOGUE_TYPES_MAX, sizeof(*catalogue->rows));
    catalogue->slots = calloc(CATALOGUE_SLOTS, sizeof(*catalogue->slots));
    if (catalogue->arena == NULL || catalogue->rows == NULL || catalogue->slots == NULL) {
        return catalogue_free(catalogue);
    }
    return catalogue;
}

// Sorts and hands over, or frees and hands over the error.
static int finish(struct catalogue_reader *reader, int r, struct catalogue **ret,
                  char **ret_error) {
    struct catalogue *catalogue = reader->catalogue;
    if (r != 0) {
        catalogue_free(catalogue);
        *ret_error = reader->error;
        return -EINVAL;
    }
    for (size_t i = 0; i < catalogue->n_rows; i++) {
        catalogue->slots[slot_of(catalogue, catalogue->rows[i].name)] = (uint16_t)(i + 1);
    }
    *ret = catalogue;
    return 0;
}

int catalogue_parse(const char *text, size_t size, const char *name, struct catalogue **ret,
                    char **ret_error) {
    struct catalogue_reader reader = {.catalogue = catalogue_new()};
    if (reader.catalogue == NULL) {
        *ret_error = strdup("out of memory");
        return -EINVAL;
    }
    return finish(&reader, catalogue_read_text(&reader, name, text, size), ret, ret_error);
}

int catalogue_load(const char *extra_path, struct catalogue **ret, char **ret_error) {
    struct catalogue_reader reader = {.catalogue = catalogue_new()};
    if (reader.catalogue == NULL) {
        *ret_error = strdup("out of memory");
        return -EINVAL;
    }
    int r = catalogue_read_text(&reader, "built-in catalogue", catalogue_text, catalogue_text_size);
    if (r == 0 && extra_path != NULL) {
        r = read_file(&reader, extra_path);
    }
    return finish(&reader, r, ret, ret_error);
}

struct catalogue *catalogue_free(struct catalogue *catalogue) {
    if (catalogue == NULL) {
        return NULL;
    }
    arena_free(catalogue->arena);
    free(catalogue->rows);
    free(catalogue->slots);
    free(catalogue);
    return NULL;
}

const struct catalogue_type *catalogue_find(const struct catalogue *catalogue, const char *name) {
    uint16_t slot = catalogue->slots[slot_of(catalogue, name)];
    return slot == 0 ? NULL : &catalogue->rows[slot - 1];
}

const struct catalogue_type *catalogue_rows(const struct catalogue *catalogue, size_t *ret_n) {
    *ret_n = catalogue->n_rows;
    return catalogue->rows;
}

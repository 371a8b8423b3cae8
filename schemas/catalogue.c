// SPDX-License-Identifier: Apache-2.0
// Holds the catalogue: the built-in rows and the operator's, in the order of the files and by name.
// Reading them is catalogue_read.c, checking bodies against them catalogue_check.c.
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

static int compare_rows(const void *a, const void *b) {
    const struct catalogue_type *const *left = a;
    const struct catalogue_type *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

static struct catalogue *catalogue_new(void) {
    struct catalogue *catalogue = calloc(1, sizeof(*catalogue));
    if (catalogue == NULL) {
        return NULL;
    }
    catalogue->arena = arena_new(ARENA_BYTES_MAX);
    catalogue->rows = calloc(CATALOGUE_TYPES_MAX, sizeof(*catalogue->rows));
    catalogue->by_name = calloc(CATALOGUE_TYPES_MAX, sizeof(*catalogue->by_name));
    if (catalogue->arena == NULL || catalogue->rows == NULL || catalogue->by_name == NULL) {
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
        catalogue->by_name[i] = &catalogue->rows[i];
    }
    qsort(catalogue->by_name, catalogue->n_rows, sizeof(*catalogue->by_name), compare_rows);
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
    free(catalogue->by_name);
    free(catalogue);
    return NULL;
}

const struct catalogue_type *catalogue_find(const struct catalogue *catalogue, const char *name) {
    size_t low = 0;
    size_t high = catalogue->n_rows;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, catalogue->by_name[middle]->name);
        if (order == 0) {
            return catalogue->by_name[middle];
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

const struct catalogue_type *catalogue_rows(const struct catalogue *catalogue, size_t *ret_n) {
    *ret_n = catalogue->n_rows;
    return catalogue->rows;
}

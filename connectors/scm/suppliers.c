// SPDX-License-Identifier: Apache-2.0
// Parses the supplier table and looks SKUs up in it. A list of rows, walked for each line: the
// table is small by its bound.
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/scm/suppliers.h"
#include "schemas/base/cleanup.h"

enum { PARTS_MAX = 4, GLN_DIGITS = 13 };

struct supplier {
    const char *pattern; // NULL: the default
    struct ubl_party party;
    char *text; // owns the words
};

struct suppliers {
    struct supplier rows[SUPPLIERS_MAX + 1];
    size_t n_rows;
};

static char *trim(char *text) {
    static const char blanks[] = " \t";
    text += strspn(text, blanks);
    for (size_t size = strlen(text); size > 0 && strchr(blanks, text[size - 1]) != NULL; size--) {
        text[size - 1] = '\0';
    }
    return text;
}

// The words between the commas of text, which is cut up. Returns their number; more than fit: 0.
static size_t split(char *text, char *parts[static PARTS_MAX]) {
    size_t n_parts = 0;
    for (char *rest = text, *part; (part = strsep(&rest, ",")) != NULL;) {
        if (n_parts == PARTS_MAX) {
            return 0;
        }
        parts[n_parts++] = trim(part);
    }
    return n_parts;
}

// 13 digits, the last one the check digit of GS1.
static bool is_gln(const char *text) {
    unsigned sum = 0;
    if (strlen(text) != GLN_DIGITS || strspn(text, "0123456789") != GLN_DIGITS) {
        return false;
    }
    for (size_t i = 0; i < GLN_DIGITS; i++) {
        sum += (unsigned)(text[i] - '0') * (i % 2 == 0 ? 1 : 3);
    }
    return sum % 10 == 0;
}

static int make_party(char *const *parts, size_t n_parts, struct ubl_party *ret) {
    bool has_gln = n_parts == 3;
    if (n_parts < 2 || n_parts > 3 || parts[0][0] == '\0' || parts[1][0] == '\0' ||
        (has_gln && !is_gln(parts[2]))) {
        return -EINVAL;
    }
    *ret = (struct ubl_party){.id = parts[0], .name = parts[1], .gln = has_gln ? parts[2] : NULL};
    return 0;
}

int suppliers_parse_party(const char *row, struct ubl_party *ret, char **ret_text) {
    _cleanup_free_ char *text = strdup(row);
    char *parts[PARTS_MAX];
    if (text == NULL) {
        return -ENOMEM;
    }
    size_t n_parts = split(text, parts);
    if (make_party(parts, n_parts, ret) != 0) {
        return -EINVAL;
    }
    *ret_text = STEAL(text);
    return 0;
}

static int parse_row(const char *row, struct supplier *ret) {
    _cleanup_free_ char *text = strdup(row);
    char *parts[PARTS_MAX];
    if (text == NULL) {
        return -ENOMEM;
    }
    size_t n_parts = split(text, parts);
    if (n_parts == 0 || parts[0][0] == '\0' ||
        make_party(parts + 1, n_parts - 1, &ret->party) != 0) {
        return -EINVAL;
    }
    ret->pattern = parts[0];
    ret->text = STEAL(text);
    return 0;
}

int suppliers_parse(const struct option_list *rows, const char *default_row, struct suppliers **ret,
                    char *error, size_t error_size) {
    struct suppliers *suppliers = calloc(1, sizeof(*suppliers));
    if (suppliers == NULL) {
        return -ENOMEM;
    }
    int r = rows->n_values > SUPPLIERS_MAX ? -EINVAL : 0;
    snprintf(error, error_size, "more than %d suppliers", SUPPLIERS_MAX);
    for (size_t i = 0; i < rows->n_values && r == 0; i++) {
        snprintf(error, error_size,
                 "supplier '%s': expected SKU-GLOB, ID, NAME[, GLN] with a valid GLN",
                 rows->values[i]);
        r = parse_row(rows->values[i], &suppliers->rows[i]);
        suppliers->n_rows += r == 0;
    }
    if (r == 0 && default_row != NULL && default_row[0] != '\0') {
        struct supplier *last = &suppliers->rows[suppliers->n_rows];
        snprintf(error, error_size, "default-supplier '%s': expected ID, NAME[, GLN]", default_row);
        r = suppliers_parse_party(default_row, &last->party, &last->text);
        suppliers->n_rows += r == 0;
    }
    if (r != 0) {
        suppliers_free(suppliers);
        return r;
    }
    *ret = suppliers;
    return 0;
}

struct suppliers *suppliers_free(struct suppliers *suppliers) {
    for (size_t i = 0; suppliers != NULL && i < suppliers->n_rows; i++) {
        free(suppliers->rows[i].text);
    }
    free(suppliers);
    return NULL;
}

const struct ubl_party *suppliers_find(const struct suppliers *suppliers, const char *sku) {
    for (size_t i = 0; i < suppliers->n_rows; i++) {
        const struct supplier *row = &suppliers->rows[i];
        if (row->pattern == NULL || fnmatch(row->pattern, sku, 0) == 0) {
            return &row->party;
        }
    }
    return NULL;
}

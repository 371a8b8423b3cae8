// SPDX-License-Identifier: Apache-2.0
// An operator's catalogue rows: read whole or refused with the file's name; what is read has what
// its readers rely on, and judges any body without harm.
#include <string.h>

#include "schemas/base/cleanup.h"
#include "schemas/catalogue.h"
#include "tests/fuzz/fuzz.h"

static void check_row(const struct catalogue *catalogue, const struct catalogue_type *type) {
    static const uint8_t body[] = {0x82, 0xa1, 'a', 0xa1, 'b', 0xa1, 'b', 0x91, 0x80};
    char detail[256];
    REQUIRE(catalogue_find(catalogue, type->name) == type);
    REQUIRE(type->directions != 0 && type->channels != NULL && type->one_of != NULL);
    for (size_t i = 0; i < type->n_fields; i++) {
        REQUIRE(type->fields[i].name[0] != '\0');
    }
    catalogue_check(type, body, sizeof(body), detail, sizeof(detail));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct catalogue *catalogue = NULL;
    _cleanup_free_ char *error = NULL;
    if (catalogue_parse((const char *)data, size, "fuzz", &catalogue, &error) != 0) {
        REQUIRE(strncmp(error, "fuzz:", strlen("fuzz:")) == 0);
        return 0;
    }
    size_t n;
    const struct catalogue_type *rows = catalogue_rows(catalogue, &n);
    for (size_t i = 0; i < n; i++) {
        check_row(catalogue, &rows[i]);
    }
    catalogue_free(catalogue);
    return 0;
}

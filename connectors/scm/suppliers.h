// SPDX-License-Identifier: Apache-2.0
// The supplier table of the configuration: which supplier delivers a SKU. Rows are read in order,
// the first whose pattern fits wins; what fits none goes to the default supplier, if there is one.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "connectors/dialect/ubl.h"
#include "schemas/base/options.h"

enum { SUPPLIERS_MAX = 256 };

struct suppliers;

// rows: "SKU-GLOB, ID, NAME[, GLN]" (* ? and [] as in file names); default_row: "ID, NAME[, GLN]",
// NULL or "" none. 0 and *ret; -EINVAL and one line that names the row; -ENOMEM.
int suppliers_parse(const struct option_list *rows, const char *default_row, struct suppliers **ret,
                    char *error, size_t error_size);
struct suppliers *suppliers_free(struct suppliers *suppliers); // takes NULL; returns NULL
// The supplier of a SKU, borrowed; NULL where there is none. Two rows may name one supplier: same
// id.
const struct ubl_party *suppliers_find(const struct suppliers *suppliers, const char *sku);

// One party, "ID, NAME[, GLN]", as the buyer is given. The texts point into *ret_text, which the
// caller frees. 0; -EINVAL; -ENOMEM.
int suppliers_parse_party(const char *row, struct ubl_party *ret, char **ret_text);

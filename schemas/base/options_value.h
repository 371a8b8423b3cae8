// SPDX-License-Identifier: Apache-2.0
// One value on its way into a configuration: between options.c, which finds values, and
// options_value.c, which judges them.
#pragma once

#include "schemas/base/options.h"

enum options_layer { LAYER_NONE, LAYER_DEFAULT, LAYER_FILE, LAYER_COMMAND_LINE };

// One parse: where values go, who set each row so far, and where in the input we are.
struct options_parse {
    const struct option_page *page;
    char *conf;
    enum options_layer layers[OPTION_ROWS_MAX];
    char where[OPTION_VALUE_BYTES_MAX + 32]; // "program: --" or "path:line: ", before a row's name
};

// One line on stderr. Always -EINVAL.
int options_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
// Checks text against the index-th row and keeps it. 0, or -EINVAL after a line on stderr.
int options_set_row(struct options_parse *parse, size_t index, const char *text,
                    enum options_layer layer);

// SPDX-License-Identifier: Apache-2.0
// The options of touchbus-erp.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "schemas/base/options.h"

struct erp_conf {
    char *inbox, *outbox;
    int64_t keep_us;
    char *tryton, *tryton_user, *password_file, *tryton_ca;
    int64_t tryton_timeout_us, tryton_parallel, tryton_every_us;
};

enum { ERP_OPTIONS = 10 };
extern const struct option_row erp_options[ERP_OPTIONS];

// The descriptor's check.
int erp_conf_check(const void *conf, char *error, size_t error_size);

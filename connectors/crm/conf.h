// SPDX-License-Identifier: Apache-2.0
// The options of touchbus-crm.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "schemas/base/options.h"

struct crm_conf {
    char *database, *postgres, *password_file;
    int64_t postgres_timeout_us;
};

#define CRM_PASSWORD_VARIABLE "TOUCHBUS_CRM_PASSWORD"

enum { CRM_OPTIONS = 4 };
extern const struct option_row crm_options[CRM_OPTIONS];

// The descriptor's check.
int crm_conf_check(const void *conf, char *error, size_t error_size);

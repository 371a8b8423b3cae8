// SPDX-License-Identifier: Apache-2.0
// The options as rows, and what rows cannot say of them.
#include "connectors/crm/conf.h"

#include <errno.h>
#include <stdio.h>

#include "connectors/crm/postgres.h"
#include "schemas/base/clock.h"

int crm_conf_check(const void *conf, char *error, size_t error_size) {
    const struct crm_conf *crm_conf = conf;
    if (crm_conf->postgres == NULL) {
        return 0;
    }
    if (crm_conf->database != NULL) {
        snprintf(error, error_size, "--database and --postgres: one of the two");
        return -EINVAL;
    }
    return postgres_check(crm_conf->postgres, error, error_size);
}

const struct option_row crm_options[CRM_OPTIONS] = {
    {.name = "database",
     .type = OPTION_STRING,
     .offset = offsetof(struct crm_conf, database),
     .argument = "FILE",
     .help = "The SQLite file. By default crm.sqlite in the connector's folder of --state."},
    {.name = "postgres",
     .type = OPTION_STRING,
     .offset = offsetof(struct crm_conf, postgres),
     .argument = "URI",
     .help = "A PostgreSQL database instead: postgresql://USER@HOST:PORT/DATABASE, or keywords as "
             "libpq takes them, without a password. Over a network the server's certificate is "
             "checked (sslmode=verify-full) unless the URI says otherwise.",
     .reloadable = true},
    {.name = "password-file",
     .type = OPTION_STRING,
     .offset = offsetof(struct crm_conf, password_file),
     .argument = "FILE",
     .help = "The password for --postgres, in a file that nobody else can read; read anew at each "
             "connection. Without it the environment variable " CRM_PASSWORD_VARIABLE
             ", then libpq's PGPASSFILE.",
     .reloadable = true},
    {.name = "postgres-timeout",
     .type = OPTION_DURATION,
     .offset = offsetof(struct crm_conf, postgres_timeout_us),
     .default_text = "30s",
     .min = CLOCK_US_PER_S,
     .max = 600 * CLOCK_US_PER_S,
     .argument = "TIME",
     .help = "How long PostgreSQL may take to answer a batch; then it counts as away, the "
             "connection is given up and the batch begun again. An erasure has at least ten "
             "minutes.",
     .reloadable = true},
};

// SPDX-License-Identifier: Apache-2.0
// The options as rows, and what rows cannot say of them.
#include "connectors/erp/conf.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "connectors/erp/tryton_orders.h"
#include "schemas/base/clock.h"

// A URL that curl takes, of a database, without a password in it; its text is not repeated, since
// it may hold one.
static const char *what_is_wrong(const char *url) {
    CURLU *parsed = curl_url();
    char *scheme = NULL, *path = NULL, *password = NULL;
    const char *why = NULL;
    if (parsed == NULL || curl_url_set(parsed, CURLUPART_URL, url, 0) != CURLUE_OK ||
        curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(parsed, CURLUPART_PATH, &path, 0) != CURLUE_OK ||
        (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)) {
        why = "is no http:// or https:// address";
    } else if (curl_url_get(parsed, CURLUPART_PASSWORD, &password, 0) == CURLUE_OK) {
        why = "has a password in it: use --password-file";
    } else if (strcmp(path, "/") == 0) {
        why = "names no database: https://HOST/DATABASE";
    }
    curl_free(scheme);
    curl_free(path);
    curl_free(password);
    curl_url_cleanup(parsed);
    return why;
}

int erp_conf_check(const void *conf, char *error, size_t error_size) {
    const struct erp_conf *erp_conf = conf;
    const char *why = erp_conf->tryton != NULL ? what_is_wrong(erp_conf->tryton) : NULL;
    if (why != NULL) {
        snprintf(error, error_size, "tryton: %s", why);
        return -EINVAL;
    }
    return 0;
}

const struct option_row erp_options[ERP_OPTIONS] = {
    {.name = "outbox",
     .type = OPTION_STRING,
     .offset = offsetof(struct erp_conf, outbox),
     .argument = "DIR",
     .help = "Where order documents are put for the ERP. By default outbox in the connector's "
             "folder of --state."},
    {.name = "inbox",
     .type = OPTION_STRING,
     .offset = offsetof(struct erp_conf, inbox),
     .argument = "DIR",
     .help = "Where the ERP renames its reports into; done and failed stand beside it. By default "
             "inbox in the connector's folder of --state."},
    {.name = "keep",
     .type = OPTION_DURATION,
     .offset = offsetof(struct erp_conf, keep_us),
     .default_text = "400d",
     .min = INT64_C(86400) * CLOCK_US_PER_S,
     .max = INT64_C(36500) * 86400 * CLOCK_US_PER_S,
     .argument = "TIME",
     .help =
         "How long what was handed over is remembered after its last change, and reports are kept "
         "in done. An order that comes again later than that is taken for a new one.",
     .reloadable = true},
    {.name = "tryton",
     .type = OPTION_STRING,
     .offset = offsetof(struct erp_conf, tryton),
     .argument = "URL",
     .help = "A Tryton 6.0 server and its database, https://HOST[:PORT]/DATABASE: orders go there "
             "instead of the outbox.",
     .reloadable = true},
    {.name = "tryton-user",
     .type = OPTION_STRING,
     .offset = offsetof(struct erp_conf, tryton_user),
     .default_text = "touchbus",
     .argument = "NAME",
     .help = "The login name there.",
     .reloadable = true},
    {.name = "password-file",
     .type = OPTION_STRING,
     .offset = offsetof(struct erp_conf, password_file),
     .argument = "FILE",
     .help = "The password there, in a file that nobody else can read; read anew at each login. "
             "Without it TOUCHBUS_TRYTON_PASSWORD of the environment.",
     .reloadable = true},
    {.name = "tryton-ca",
     .type = OPTION_STRING,
     .offset = offsetof(struct erp_conf, tryton_ca),
     .argument = "FILE",
     .help = "Certificates (PEM) that Tryton's is checked against. By default the system's.",
     .reloadable = true},
    {.name = "tryton-timeout",
     .type = OPTION_DURATION,
     .offset = offsetof(struct erp_conf, tryton_timeout_us),
     .default_text = "20s",
     .min = CLOCK_US_PER_S,
     .max = 300 * CLOCK_US_PER_S,
     .argument = "TIME",
     .help = "How long a call may take; then the ERP counts as away and the order is begun again "
             "from the state found.",
     .reloadable = true},
    {.name = "tryton-parallel",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct erp_conf, tryton_parallel),
     .default_text = "4",
     .min = 1,
     .max = TRYTON_ORDERS_MAX,
     .argument = "N",
     .help = "Orders of different customers that are worked on at once, and taken from the broker "
             "at all."},
    {.name = "tryton-every",
     .type = OPTION_DURATION,
     .offset = offsetof(struct erp_conf, tryton_every_us),
     .default_text = "10s",
     .min = CLOCK_US_PER_S,
     .max = 86400 * CLOCK_US_PER_S,
     .argument = "TIME",
     .help = "How long after a look at what changed there until the next one. A look is four calls "
             "where nothing did.",
     .reloadable = true},
};

// SPDX-License-Identifier: Apache-2.0
// SIGHUP: the file of --config is read anew. The log level and the sources' ranks may change; other
// rows are named and wait for a restart. The change is an event, so that the log tells which ranks
// were stamped since when.
#include <errno.h>

#include "broker/tick/tick_internal.h"
#include "schemas/base/logging.h"

// The new rank table; the one in use stays where the new one is malformed.
static bool take_ranks(struct tick *tick) {
    struct broker *broker = tick->broker;
    struct decide *decide;
    if (decide_new(&broker->configuration, broker->catalogue, keys_hash_secret(broker->keys),
                   &decide) != 0) {
        return false;
    }
    decide_free(tick->decide);
    tick->decide = decide;
    return true;
}

static bool take_level(const struct configuration *configuration) {
    enum logging_level level;
    if (logging_level_parse(configuration->log_level, &level) != 0) {
        logging_error("event=bad-option option=log-level expected=error,warning,info,debug");
        return false;
    }
    logging_init("touchbusd", level);
    return true;
}

static json_t *rank_rows(const struct configuration *configuration) {
    json_t *rows = json_array();
    for (size_t i = 0; i < configuration->ranks.n_values; i++) {
        json_array_append_new(rows, json_string(configuration->ranks.values[i]));
    }
    return rows;
}

int reload_configuration(struct tick *tick) {
    struct configuration *configuration = &tick->broker->configuration;
    if (options_reload(&configuration_page, configuration, tick->broker->argc,
                       tick->broker->argv) != 0) {
        logging_error("event=reload-refused hint=\"what was in force stays\"");
        return 0;
    }
    bool whole = take_ranks(tick);
    whole = take_level(configuration) && whole;
    logging_info("event=reloaded whole=%s", whole ? "true" : "false");
    json_t *what = json_pack("{s:s, s:s, s:{s:o}}", "actor", "operator", "what", "reload", "values",
                             "rank", rank_rows(configuration));
    int r = tick_append(tick, "configuration.changed", what, "operator", 0, NULL);
    return r < 0 ? r : 0;
}

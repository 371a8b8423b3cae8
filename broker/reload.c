// SPDX-License-Identifier: Apache-2.0
// SIGHUP: the file of --config is read anew, and with keys the folder of --clients. The log level,
// the sources' ranks, roles and certificates may change; other rows are named and wait for a
// restart. The change is an event, so that the log tells which ranks were stamped since when, and
// whose keys came and went.
#include <errno.h>

#include "broker/access.h"
#include "broker/tick/tick_internal.h"
#include "schemas/base/logging.h"

// The new rank table; the one in use stays where the new one is malformed.
static bool take_ranks(struct tick *tick) {
    struct broker *broker = tick->broker;
    struct decide *decide;
    if (decide_new(&broker->configuration, tick->policy, broker->catalogue,
                   keys_hash_secret(broker->keys), broker->keys, &decide) != 0) {
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

static json_t *texts(const struct option_list *list) {
    json_t *rows = json_array();
    for (size_t i = 0; i < list->n_values; i++) {
        json_array_append_new(rows, json_string(list->values[i]));
    }
    return rows;
}

// Roles and certificates; those in force stay where the new ones are not whole. The other threads
// take them up at their next turn, which is at once: who lost a key is told so.
static bool take_access(struct broker *broker, json_t *values) {
    json_t *keys = NULL;
    if (broker->access == NULL) {
        return true;
    }
    if (access_reload(broker->access, &broker->configuration, &keys) != 0) {
        logging_error("event=reload-refused what=access hint=\"what was in force stays\"");
        return false;
    }
    json_object_set_new(values, "role", texts(&broker->configuration.roles));
    if (keys != NULL) {
        json_object_set_new(values, "keys", keys);
    }
    mailbox_wake(broker->to_delivery);
    mailbox_wake(broker->to_query);
    return true;
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
    json_t *values = json_pack("{s:o}", "rank", texts(&configuration->ranks));
    whole = take_access(tick->broker, values) && whole;
    logging_info("event=reloaded whole=%s", whole ? "true" : "false");
    json_t *what =
        json_pack("{s:s, s:s, s:o}", "actor", "operator", "what", "reload", "values", values);
    int r = tick_append(tick, "configuration.changed", what, "operator", 0, NULL);
    return r < 0 ? r : 0;
}

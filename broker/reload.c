// SPDX-License-Identifier: Apache-2.0
// On SIGHUP and on configuration.reload: the file of --config is read anew, the policy it names,
// and with keys the folder of --clients. The log level, the sources' ranks, the policy, roles and
// certificates may change; other rows are named and wait for a restart. First everything is read
// and judged beside what is in force, then taken over, so that half a configuration is never in
// force. The change is an event, so that the log tells which ranks and caps held since when, who
// changed them, and whose keys came and went.
#include "broker/reload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/access.h"
#include "broker/policy/holder.h"
#include "broker/policy/policy_json.h"
#include "broker/tick/tick_internal.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"
#include "schemas/reasons.h"

// ---- judging, without touching anything

static bool refuse(char why[static DETAIL_BYTES_MAX], const char *what) {
    snprintf(why, DETAIL_BYTES_MAX, "%s", what);
    return false;
}

static bool ranks_are_sound(const struct broker *broker, const struct configuration *fresh) {
    struct decide *decide = NULL;
    bool sound = decide_new(fresh, NULL, broker->catalogue, keys_hash_secret(broker->keys),
                            broker->keys, &decide) == 0;
    decide_free(decide);
    return sound;
}

static bool policy_is_sound(const struct configuration *fresh, struct policy **ret,
                            char why[static DETAIL_BYTES_MAX]) {
    _cleanup_free_ char *error = NULL;
    if (policy_load(fresh->policy, ret, &error) == 0) {
        return true;
    }
    logging_error("event=policy-refused error=\"%s\"", error != NULL ? error : "");
    return refuse(why, error != NULL ? error : "memory is short");
}

static bool is_sound(const struct broker *broker, const struct configuration *fresh,
                     struct policy **ret_policy, char why[static DETAIL_BYTES_MAX]) {
    enum logging_level level;
    if (logging_level_parse(fresh->log_level, &level) != 0) {
        logging_error("event=bad-option option=log-level expected=error,warning,info,debug");
        return refuse(why, "log-level: expected error, warning, info or debug");
    }
    if (!ranks_are_sound(broker, fresh)) {
        return refuse(why, "rank: malformed; the broker's log says where");
    }
    if (broker->access != NULL && access_check(fresh) != 0) {
        return refuse(why, "key, clients or role: malformed; the broker's log says where");
    }
    return policy_is_sound(fresh, ret_policy, why);
}

// Reads and judges all of it. *ret is the policy of the new configuration.
static bool read_anew(const struct broker *broker, struct policy **ret,
                      char why[static DETAIL_BYTES_MAX]) {
    struct configuration fresh = {0};
    if (options_parse(&configuration_page, &fresh, broker->argc, broker->argv, NULL) != 0) {
        return refuse(why, "the file of --config is malformed; the broker's log says where");
    }
    bool sound = is_sound(broker, &fresh, ret, why);
    options_clear(&configuration_page, &fresh);
    return sound;
}

// ---- taking over

// The ranks and the policy that decide goes by from the next event on. Takes policy.
static int take_policy(struct tick *tick, struct policy *policy) {
    struct broker *broker = tick->broker;
    struct decide *decide;
    int r = policy_replace(broker->policy, policy);
    if (r != 0) {
        return r;
    }
    const struct policy *taken = policy_take(broker->policy);
    r = decide_new(&broker->configuration, taken, broker->catalogue, keys_hash_secret(broker->keys),
                   broker->keys, &decide);
    if (r != 0) {
        policy_release(broker->policy, taken);
        return r;
    }
    decide_free(tick->decide);
    policy_release(broker->policy, tick->policy);
    tick->decide = decide;
    tick->policy = taken;
    tick->policy_unkept = true;
    return 0;
}

static json_t *texts(const struct option_list *list) {
    json_t *rows = json_array();
    for (size_t i = 0; i < list->n_values; i++) {
        json_array_append_new(rows, json_string(list->values[i]));
    }
    return rows;
}

// Roles and certificates. The other threads take them up at their next turn, which is at once: who
// lost a key is told so.
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

static int append_changed(struct tick *tick, const char *actor, json_t *values, json_t *changes,
                          struct reloaded *ret) {
    json_t *data =
        json_pack("{s:s, s:s, s:o, s:o, s:I}", "actor", actor, "what", "reload", "values", values,
                  "changes", changes, "n_changes", (json_int_t)ret->n_changes);
    return tick_append(tick, "configuration.changed", data, actor, 0, &ret->sequence);
}

int reload_configuration(struct tick *tick, const char *actor, struct reloaded *ret,
                         char why[static DETAIL_BYTES_MAX]) {
    struct broker *broker = tick->broker;
    struct configuration *configuration = &broker->configuration;
    struct policy *policy = NULL;
    enum logging_level level;
    if (!tick_has_room(tick)) {
        return REASON_BUSY; // the change could not be logged
    }
    if (!read_anew(broker, &policy, why) ||
        options_reload(&configuration_page, configuration, broker->argc, broker->argv) != 0) {
        policy_free(policy);
        logging_error("event=reload-refused hint=\"what was in force stays\"");
        return REASON_BAD_ARGUMENT;
    }
    *ret = (struct reloaded){0};
    json_t *changes = policy_changes(tick->policy, policy, &ret->n_changes);
    int r = take_policy(tick, policy);
    if (r == 0 && logging_level_parse(configuration->log_level, &level) == 0) {
        logging_init("touchbusd", level);
    }
    json_t *values = json_pack("{s:o}", "rank", texts(&configuration->ranks));
    bool whole = take_access(broker, values) && r == 0;
    logging_info("event=reloaded whole=%s policy_changes=%zu", whole ? "true" : "false",
                 ret->n_changes);
    if (r != 0) {
        json_decref(values);
        json_decref(changes);
        return r;
    }
    return append_changed(tick, actor, values, changes, ret);
}

int reload_on_signal(struct tick *tick) {
    struct reloaded reloaded;
    char why[DETAIL_BYTES_MAX];
    int r = reload_configuration(tick, "operator", &reloaded, why);
    return r < 0 ? r : 0;
}

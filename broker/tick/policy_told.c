// SPDX-License-Identifier: Apache-2.0
// The policy that the log knows of, as a row of LOG_META beside the events: what a start finds in
// force instead of it was changed while nobody could say so, and is said first of all. A log that
// knows of none yet stands for the built-in policy. A reload says its own change (reload.c); here
// the row only follows it.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/policy/policy_json.h"
#include "broker/tick/tick_internal.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

static const char policy_key[] = "policy"; // of LOG_META: struct policy's `printed`

// *ret stays NULL where the log knows of none. Malloc'ed.
static int read_row(struct tick *tick, char **ret) {
    const void *value;
    size_t size;
    int r = log_reader_begin(tick->reader);
    if (r != 0) {
        return r;
    }
    r = log_reader_get(tick->reader, LOG_META, policy_key, sizeof(policy_key) - 1, &value, &size);
    if (r == 0) {
        *ret = strndup(value, size);
        r = *ret == NULL ? -ENOMEM : 0;
    }
    log_reader_end(tick->reader);
    return r < 0 ? r : 0;
}

static int print_built_in(char **ret) {
    struct policy *policy = NULL;
    _cleanup_free_ char *error = NULL;
    int r = policy_load(NULL, &policy, &error);
    if (r == 0) {
        *ret = STEAL(policy->printed);
    }
    policy_free(policy);
    return r;
}

int policy_told_load(struct tick *tick) {
    _cleanup_free_ char *before = NULL;
    int r = read_row(tick, &before);
    tick->policy_unkept = before == NULL || strcmp(before, tick->policy->printed) != 0;
    if (r == 0 && before == NULL && tick->broker->configuration.policy != NULL) {
        r = print_built_in(&before);
    }
    if (r == 0 && GUARD(policy_told) && before != NULL &&
        strcmp(before, tick->policy->printed) != 0) {
        tick->policy_before = STEAL(before);
    }
    return r;
}

int policy_told_say(struct tick *tick) {
    size_t n = 0;
    json_t *changes = policy_changes_of(tick->policy_before, tick->policy->printed, &n);
    free(tick->policy_before);
    tick->policy_before = NULL;
    if (changes == NULL || n == 0) { // what differs is no setting that this version has
        json_decref(changes);
        return changes == NULL ? -ENOMEM : 0;
    }
    json_t *data = json_pack("{s:s, s:s, s:o, s:I}", "actor", "operator", "what", "start",
                             "changes", changes, "n_changes", (json_int_t)n);
    logging_info("event=policy-changed since=last-start changes=%zu", n);
    int r = tick_append(tick, "configuration.changed", data, "operator", 0, NULL);
    return r < 0 ? r : 0;
}

int policy_told_note(struct tick *tick) {
    bool writes = tick->n_records > 0 || tick->log_touched;
    if (!tick->policy_unkept || !writes || tick->policy_before != NULL) {
        return 0;
    }
    tick->policy_unkept = false;
    return log_put(tick->log, LOG_META, policy_key, sizeof(policy_key) - 1, tick->policy->printed,
                   strlen(tick->policy->printed));
}

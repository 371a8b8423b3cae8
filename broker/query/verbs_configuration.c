// SPDX-License-Identifier: Apache-2.0
// The verbs about the configuration: the policy in force, and reading all of it anew.
#include <errno.h>
#include <stdlib.h>

#include "broker/policy/holder.h"
#include "broker/policy/policy_json.h"
#include "broker/query/verbs_all.h"
#include "broker/reload.h"

int verb_configuration_show(struct call *call) {
    struct policy_holder *holder = call_broker(call)->policy;
    const struct policy *policy = policy_take(holder);
    json_t *json = policy_to_json(policy);
    policy_release(holder, policy);
    return json == NULL ? -ENOMEM : call_answer(call, json_pack("{s:o}", "policy", json));
}

int verb_configuration_reload(struct call *call) {
    struct reloaded *reloaded = calloc(1, sizeof(*reloaded));
    if (reloaded == NULL) {
        return -ENOMEM;
    }
    call_keep(call, reloaded, free);
    return 0;
}

int verb_configuration_reload_write(struct call *call, struct tick *tick) {
    char why[DETAIL_BYTES_MAX] = "";
    const char *actor = call_argument(call, "actor");
    int r =
        reload_configuration(tick, actor != NULL ? actor : "operator", call_progress(call), why);
    if (r > 0) {
        call_refuse(call, (uint32_t)r, "%s", why);
    }
    return r;
}

int verb_configuration_reload_then(struct call *call) {
    const struct reloaded *reloaded = call_progress(call);
    return call_answer(call, json_pack("{s:I, s:I}", "sequence", (json_int_t)reloaded->sequence,
                                       "changes", (json_int_t)reloaded->n_changes));
}

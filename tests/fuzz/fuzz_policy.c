// SPDX-License-Identifier: Apache-2.0
// An operator's policy: refused with the file's name, or a policy that is the same when it is
// printed and read again, and that rules can ask anything.
#include <stdlib.h>
#include <string.h>

#include "broker/policy/policy_json.h"
#include "schemas/base/cleanup.h"
#include "tests/fuzz/fuzz.h"

static void ask(const struct policy *policy) {
    for (unsigned i = 0; i < policy->n_channels; i++) {
        REQUIRE(policy_channel(policy, policy->channels[i].name) == &policy->channels[i]);
        REQUIRE(policy->channels[i].needs != NULL && policy->channels[i].cost_micro >= 0);
    }
    for (unsigned i = 0; i < policy->n_greetings; i++) {
        const struct policy_greeting *greeting = &policy->greetings[i];
        REQUIRE(policy_text(greeting->texts, greeting->n_texts, "de-AT") != NULL);
        policy_holds(greeting->tiers, greeting->n_tiers, "guest");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct policy *policy = NULL, *again = NULL;
    _cleanup_free_ char *error = NULL;
    if (policy_parse((const char *)data, size, "fuzz", &policy, &error) != 0) {
        REQUIRE(error != NULL && strncmp(error, "fuzz:", strlen("fuzz:")) == 0);
        return 0;
    }
    ask(policy);
    _cleanup_free_ char *printed = policy_to_yaml(policy);
    _cleanup_free_ char *refused = NULL;
    size_t n;
    REQUIRE(printed != NULL);
    REQUIRE(policy_parse(printed, strlen(printed), "printed", &again, &refused) == 0);
    json_t *changes = policy_changes(policy, again, &n);
    REQUIRE(n == 0);
    json_decref(changes);
    policy_free(policy);
    policy_free(again);
    return 0;
}

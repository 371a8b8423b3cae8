// SPDX-License-Identifier: Apache-2.0
// A broker that is there and does not want us, by our key or our role: told once in the log, and in
// the health report as long as it lasts. The kit goes on trying, slowly: it is for an operator to
// mend, and nothing is to be restarted then.
#include <stdio.h>
#include <string.h>

#include "connectors/kit/private.h"
#include "schemas/base/logging.h"

void refusal_set(struct kit_refusal *refusal, const char *reason, const char *detail,
                 const char *hint) {
    snprintf(refusal->reason, sizeof(refusal->reason), "%s", reason);
    snprintf(refusal->detail, sizeof(refusal->detail), "%s", detail);
    snprintf(refusal->hint, sizeof(refusal->hint), "%s", hint);
}

bool refusal_watch(struct kit *kit) {
    struct kit_refusal now = {.reason = ""};
    bool refused = (kit->publishing != NULL && publishing_refusal_now(kit->publishing, &now)) ||
                   (kit->delivering != NULL && delivering_refusal(kit->delivering, &now));
    pthread_mutex_lock(&kit->refusal_lock);
    bool same = strcmp(now.reason, kit->refusal.reason) == 0 &&
                strcmp(now.detail, kit->refusal.detail) == 0;
    kit->refusal = now;
    pthread_mutex_unlock(&kit->refusal_lock);
    if (refused && !same) {
        logging_error("refused=%s detail=\"%s\" hint=\"%s\"", now.reason, now.detail, now.hint);
    }
    return refused;
}

bool refusal_get(struct kit *kit, struct kit_refusal *ret) {
    pthread_mutex_lock(&kit->refusal_lock);
    *ret = kit->refusal;
    pthread_mutex_unlock(&kit->refusal_lock);
    return ret->reason[0] != '\0';
}

void refusal_reload_keys(struct kit *kit) {
    if (kit->publishing != NULL) {
        publishing_reload_keys(kit->publishing);
    }
    if (kit->delivering != NULL) {
        delivering_reload_keys(kit->delivering);
    }
    if (kit->privacy != NULL) {
        privacy_reload_keys(kit->privacy);
    }
}

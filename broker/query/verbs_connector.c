// SPDX-License-Identifier: Apache-2.0
// The verbs about connectors. report comes from the kit every few seconds; the answer carries an
// operator's wish to reload, once.
#include "broker/query/registry.h"
#include "broker/query/verbs_all.h"
#include "schemas/base/clock.h"

static struct registry *registry(const struct call *call) {
    return call_reads(call)->registry;
}

int verb_connector_report(struct call *call) {
    bool reload = false;
    if (!registry_may_add(registry(call), call_grant(call), call_argument(call, "name"),
                          clock_now_us())) {
        return call_refuse(call, REASON_TOO_MANY, "%d connectors of one key report already",
                           REGISTRY_OF_A_KEY_MAX);
    }
    uint32_t code =
        registry_report(registry(call), call_argument(call, "name"), call_argument(call, "kind"),
                        call_argument(call, "state"), call_argument(call, "instance"),
                        json_incref(call_body(call)), clock_now_us(), &reload);
    if (code != REASON_OK) {
        return call_refuse(call, code, "connector.report");
    }
    return call_answer(call, json_pack("{s:b}", "reload", (int)reload));
}

int verb_connector_ls(struct call *call) {
    return call_answer(call,
                       json_pack("{s:o?}", "rows", registry_list(registry(call), clock_now_us())));
}

int verb_connector_show(struct call *call) {
    json_t *row = registry_show(registry(call), call_argument(call, "name"), clock_now_us());
    return row != NULL ? call_answer(call, row)
                       : call_refuse(call, REASON_NOT_FOUND, "no connector of this name reported");
}

int verb_connector_reload(struct call *call) {
    uint32_t code = registry_reload(registry(call), call_argument(call, "name"));
    if (code != REASON_OK) {
        return call_refuse(call, code, "no connector of this name reported");
    }
    return call_answer(
        call, json_pack("{s:s, s:b}", "name", call_argument(call, "name"), "reload_pending", 1));
}

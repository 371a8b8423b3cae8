// SPDX-License-Identifier: Apache-2.0
#include "connectors/email/policy.h"

#include "connectors/email/outbound.h"
#include "connectors/email/record.h"
#include "schemas/reasons.h"

int policy_ask_again(struct kit *kit, const char *source, const json_t *request,
                     const char *customer) {
    const char *channels[] = {"email", NULL};
    const char *address = record_text(request, "address");
    const char *not_after = record_text(request, "not_after");
    touchbus_publisher_options publisher = {.broker = kit_broker(kit),
                                            .key = kit_key(kit),
                                            .broker_key = kit_broker_key(kit),
                                            .source = source};
    touchbus_contact contact = {.customer = customer,
                                .contact_id = record_text(request, "contact_id"),
                                .content_id = record_text(request, "content_id"),
                                .purpose = record_text(request, "purpose"),
                                .address = *address != '\0' ? address : NULL,
                                .not_after = *not_after != '\0' ? not_after : NULL,
                                .channels = channels};
    touchbus_answer *answer = NULL;
    int r = touchbus_contact_ask(&publisher, &contact, OUTBOUND_POLICY_MS_MAX, &answer);
    r = r == 0 && touchbus_answer_code(answer) == REASON_OK ? 0 : 1;
    touchbus_answer_free(answer);
    return r;
}

// SPDX-License-Identifier: Apache-2.0
// A request that becomes one event: it is suspended until the kit has answered.
#include <stdlib.h>
#include <string.h>

#include "connectors/web/web.h"
#include "schemas/reasons.h"

// On the loop thread.
static void on_answered(void *user, const struct kit_ack *acks, size_t n_acks) {
    struct request *request = user;
    if (n_acks == 1) {
        request->acks[0] = acks[0];
        request->verdict = acks[0].verdict != NULL ? strdup(acks[0].verdict) : NULL;
        request->details[0] = acks[0].detail[0] != '\0' ? strdup(acks[0].detail) : NULL;
    }
    struct MHD_Connection *connection = request->connection; // the request is its thread's now
    atomic_store(&request->answered, true);
    MHD_resume_connection(connection);
}

void submit_one(struct request *request, touchbus_event *event, unsigned flags) {
    request->acks = calloc(1, sizeof(*request->acks));
    request->details = calloc(1, sizeof(*request->details));
    if (request->acks == NULL || request->details == NULL) {
        touchbus_event_free(event);
        answer_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
        return;
    }
    request->n_sent = 1;
    request->submitted = true;
    MHD_suspend_connection(request->connection);
    int r = kit_submit(request->web->kit, &event, 1, flags, on_answered, request);
    if (r != 0) {
        touchbus_event_free(event);
        request->acks[0] =
            (struct kit_ack){.code = REASON_BUSY, .reason = "busy", .retryable = true};
        atomic_store(&request->answered, true);
        MHD_resume_connection(request->connection);
    }
}

// SPDX-License-Identifier: Apache-2.0
// Telling whoever published an event what became of it: once, on the loop thread.
#include "connectors/kit/publishing.h"
#include "schemas/base/logging.h"
#include "schemas/reasons.h"

struct kit_ack publishing_refusal(uint32_t code) {
    const struct reason *reason = reason_find(code);
    return (struct kit_ack){.code = code,
                            .reason = reason->name,
                            .detail = "",
                            .hint = reason->hint,
                            .retryable = reason->retryable};
}

// Tells whoever waits, once; the entry lives on where the publisher still has it.
void publishing_answer(struct publishing *publishing, struct entry *entry,
                       const struct kit_ack *ack) {
    struct submission *submission = entry->submission;
    void *item = entry->item;
    entry->submission = NULL;
    entry->item = NULL;
    entry->deadline_us = INT64_MAX;
    entry->answered = true;
    if (submission != NULL) {
        submission_answer(publishing, submission, entry->index, ack);
    } else if (item != NULL) {
        publishing->kit->connector->settled(publishing->kit->state, item, ack);
    }
}

// A refusal of something that nobody waits for any more must not be the end of it.
void publishing_set_aside(struct publishing *publishing, const struct entry *entry,
                          const struct kit_ack *ack) {
    const char *id = entry->event != NULL ? touchbus_event_get(entry->event, "id") : "";
    struct kit_quarantined item = {.id = id != NULL ? id : "",
                                   .reason = ack->reason,
                                   .item = entry->bytes,
                                   .item_size = entry->size};
    int r = kit_quarantine(publishing->kit, &item, 1);
    logging_warning("event=%s refused=%s detail=\"%s\" quarantined=%s", item.id, ack->reason,
                    ack->detail, r == 0 ? "true" : "false");
}

// SPDX-License-Identifier: Apache-2.0
// What the broker answered to a row's event, as the columns of that row: the person who wrote it
// reads the outcome, the verdict on a contact and the reasons there. Pure; the broker's own words,
// nothing of the row.
#include <stdio.h>
#include <string.h>

#include "connectors/crm/outgoing_row.h"
#include "schemas/base/cleanup.h"
#include "schemas/reasons.h"

static void cleanup_json(json_t **json) {
    json_decref(*json);
}

// The reasons of a verdict as one text: "cap-day, quiet-hours".
static json_t *join_reasons(const json_t *reasons) {
    char text[OUTGOING_WHY_BYTES] = "";
    size_t size = 0;
    for (size_t i = 0; i < json_array_size(reasons); i++) {
        const char *reason = json_string_value(json_array_get(reasons, i));
        if (reason != NULL && size < sizeof(text)) {
            size += (size_t)snprintf(text + size, sizeof(text) - size, "%s%s", size > 0 ? ", " : "",
                                     reason);
        }
    }
    return text[0] != '\0' ? json_string(text) : json_null();
}

static json_t *text_or_null(const json_t *value) {
    return json_string_length(value) > 0 ? json_string(json_string_value(value)) : json_null();
}

static int add_verdict(json_t *answer, const char *text) {
    _cleanup_(cleanup_json) json_t *verdict = text == NULL ? NULL : json_loads(text, 0, NULL);
    if (json_object_get(verdict, "verdict") == NULL) {
        return 0; // it was about something else, such as an open quote
    }
    json_t *sequence = json_object_get(verdict, "sequence");
    return json_object_set_new(answer, "verdict",
                               text_or_null(json_object_get(verdict, "verdict"))) |
           json_object_set_new(answer, "channel",
                               text_or_null(json_object_get(verdict, "channel"))) |
           json_object_set_new(answer, "until", text_or_null(json_object_get(verdict, "until"))) |
           json_object_set_new(answer, "decided", json_integer(json_integer_value(sequence))) |
           json_object_set_new(answer, "reason", join_reasons(json_object_get(verdict, "reasons")));
}

// What a refusal says: its detail where it has one, else what its code means, and its code's name.
static json_t *refusal_text(const struct kit_ack *ack) {
    char text[OUTGOING_WHY_BYTES];
    const char *detail = ack->detail != NULL ? ack->detail : "";
    const struct reason *row = reason_find(ack->code);
    snprintf(text, sizeof(text), "%s: %s", ack->reason != NULL ? ack->reason : "refused",
             detail[0] != '\0' ? detail
             : row != NULL     ? row->text
                               : "");
    return json_string(text);
}

static json_t *number(uint64_t value) {
    return value != 0 ? json_integer((json_int_t)value) : json_null();
}

json_t *outgoing_answer(const struct kit_ack *ack) {
    bool taken = ack->code == REASON_OK || ack->code == REASON_DUPLICATE;
    const char *outcome = taken                             ? "accepted"
                          : ack->code == REASON_QUARANTINED ? "quarantined"
                                                            : "refused";
    json_t *reason = !taken               ? refusal_text(ack)
                     : ack->customer == 0 ? json_string("nobody: it leads to no customer")
                                          : json_null();
    json_t *answer =
        json_pack("{s:s, s:o, s:o, s:o}", "outcome", outcome, "sequence", number(ack->sequence),
                  "attached", number(ack->customer), "reason", reason);
    if (answer != NULL && taken && add_verdict(answer, ack->verdict) != 0) {
        json_decref(answer);
        return NULL;
    }
    return answer;
}

json_t *outgoing_malformed(const char *why) {
    return json_pack("{s:s, s:s}", "outcome", "malformed", "reason", why);
}

// SPDX-License-Identifier: Apache-2.0
// Times: how long a caller waited and talked, how long a message had no reply. They are differences
// of event times, from the interaction's row as it was before the event.
#include <errno.h>
#include <string.h>

#include "broker/rules/routing.h"
#include "broker/rules/score_internal.h"

// What sources call a call that nobody answered.
static const char *const UNANSWERED[] = {"abandoned", "missed",     "no-answer",
                                         "no_answer", "unanswered", "busy"};

static bool is_unanswered(const char *outcome) {
    for (size_t i = 0; outcome != NULL && i < sizeof(UNANSWERED) / sizeof(UNANSWERED[0]); i++) {
        if (strcmp(outcome, UNANSWERED[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void add_waiting(struct scoring *scoring, const View__Waiting *live) {
    int64_t waited_us = scoring->time_us - live->since_us;
    scoring->score->waiting_us = waited_us < 0 ? 0 : waited_us;
    scoring->score->has_waiting = true;
    scoring->changed = true;
}

static void add_end(struct scoring *scoring, bool answered, bool timed, int64_t handling_us) {
    scoring->score->handled = answered;
    scoring->score->abandoned = !answered;
    if (answered && timed) {
        scoring->score->handling_us = handling_us < 0 ? 0 : handling_us;
        scoring->score->has_handling = true;
    }
    scoring->changed = true;
}

int score_call_answered(struct scoring *scoring) {
    View__Waiting *live;
    int r = routing_live(scoring->judging, &live);
    if (r == 0 && live != NULL && live->answered_us == 0) {
        add_waiting(scoring, live);
    }
    return r;
}

int score_call_ended(struct scoring *scoring) {
    struct body_value value;
    View__Waiting *live;
    int64_t duration_us = 0;
    int r = routing_live(scoring->judging, &live);
    bool timed = score_value(scoring, "duration_s", &value) && score_number(&value, &duration_us);
    bool talked = duration_us > 0 || (live != NULL && live->answered_us != 0);
    add_end(scoring, talked && !is_unanswered(rules_text(scoring->judging, "outcome")), timed,
            duration_us);
    return r;
}

int score_chat_state(struct scoring *scoring) {
    View__Waiting *live;
    enum waiting_state state = routing_says(scoring->judging);
    int r = routing_live(scoring->judging, &live);
    if (r != 0 || live == NULL) {
        // A chat is one contact, however many states it goes through.
        scoring->is_contact = scoring->is_contact && state == WAITING_ARRIVED;
        return r;
    }
    scoring->is_contact = false;
    if (state == WAITING_ANSWERED && live->answered_us == 0) {
        add_waiting(scoring, live);
    } else if (state == WAITING_ENDED) {
        add_end(scoring, live->answered_us != 0, true, scoring->time_us - live->answered_us);
    }
    return 0;
}

int score_chat_message(struct scoring *scoring) {
    View__Waiting *live;
    int r = routing_live(scoring->judging, &live);
    if (r != 0 || live == NULL || routing_says(scoring->judging) != WAITING_REPLIED) {
        return r;
    }
    if (live->answered_us == 0) {
        add_waiting(scoring, live);
    }
    if (live->asked_us != 0) {
        int64_t response_us = scoring->time_us - live->asked_us;
        scoring->score->response_us = response_us < 0 ? 0 : response_us;
        scoring->score->has_response = true;
        scoring->changed = true;
    }
    return 0;
}

// ---- letters, mails

int score_message_received(struct scoring *scoring) {
    const char *ref = rules_text(scoring->judging, "ref");
    ProtobufCBinaryData lookup;
    View__Kept *kept;
    int r = ref == NULL ? 0 : score_kept(scoring, ITEM_MESSAGE, ref, &kept, &lookup);
    if (ref == NULL || r != 0 || kept != NULL || lookup.len == 0) {
        return r;
    }
    score_about(scoring->score, ITEM_MESSAGE, lookup, false);
    scoring->changed = true;
    return 0;
}

int score_message_sent(struct scoring *scoring) {
    const char *ref = rules_text(scoring->judging, "in_reply_to");
    ProtobufCBinaryData lookup;
    View__Kept *kept;
    int r = ref == NULL ? 0 : score_kept(scoring, ITEM_MESSAGE, ref, &kept, &lookup);
    if (ref == NULL || r != 0 || kept == NULL) {
        return r;
    }
    int64_t response_us = scoring->time_us - kept->time_us;
    scoring->score->response_us = response_us < 0 ? 0 : response_us;
    scoring->score->has_response = true;
    scoring->score->handled = 1;
    scoring->changed = true;
    score_about(scoring->score, ITEM_MESSAGE, lookup, true);
    return 0;
}

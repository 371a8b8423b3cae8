// SPDX-License-Identifier: Apache-2.0
// A verdict as JSON: for contact.decided, for the ack, and again for who asks once more.
#include <errno.h>
#include <string.h>

#include "broker/rules/contact.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"

static const char *const verdict_names[] = {
    [CONTACT_OPEN] = "",
    [CONTACT_APPROVED] = "approved",
    [CONTACT_DEFERRED] = "deferred",
    [CONTACT_SUPPRESSED] = "suppressed",
};

static json_t *reasons_json(const struct contact *contact) {
    json_t *list = json_array();
    for (int i = 0; contact->verdict != CONTACT_APPROVED && i < CONTACT_N_REASONS; i++) {
        if (contact->reasons[i]) {
            json_array_append_new(list, json_string(contact_reason_code((enum contact_reason)i)));
        }
    }
    return list;
}

static json_t *deciders_json(const struct contact *contact) {
    json_t *list = json_array();
    for (size_t i = 0; contact->verdict != CONTACT_APPROVED && i < contact->n_decided_by; i++) {
        json_array_append_new(list, json_integer((json_int_t)contact->decided_by[i]));
    }
    return list;
}

json_t *contact_json(const struct contact *contact) {
    char until[CLOCK_TEXT_BYTES];
    bool is_timed = contact->until_us != 0;
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:o, s:o}", "contact_id", contact->contact_id, "content_id",
        contact->content_id, "verdict", verdict_names[contact->verdict], "channel",
        contact->channel != NULL ? contact->channel->policy->name : "", "until",
        is_timed ? json_string(clock_format_rfc3339(contact->until_us, until)) : json_null(),
        "reasons", reasons_json(contact), "decided_by", deciders_json(contact));
}

// ---- what was decided before

static json_t *member_json(const View__Item *item, const char *name, json_t *otherwise) {
    const View__Attribute *member = profile_member(item, name);
    json_t *json = NULL;
    if (member == NULL || body_to_json(member->value.data, member->value.len, &json) != 0 ||
        json_is_null(json)) {
        json_decref(json);
        return otherwise;
    }
    json_decref(otherwise);
    return json;
}

static int again(const struct contact *contact, const View__Item *item, json_t **ret) {
    json_t *verdict =
        json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "contact_id", contact->contact_id,
                  "content_id", member_json(item, "content_id", json_string("")), "verdict",
                  member_json(item, "verdict", json_string("")), "channel",
                  member_json(item, "channel", json_string("")), "until",
                  member_json(item, "until", json_null()), "reasons",
                  member_json(item, "reasons", json_array()), "decided_by",
                  member_json(item, "decided_by", json_array()), "sequence",
                  (json_int_t)profile_member(item, "verdict")->sequence);
    *ret = verdict;
    return verdict == NULL ? -ENOMEM : 0;
}

// An approval stands while its place does, and for good once it was carried out.
static bool stands(const struct contact *contact, const View__Item *item) {
    uint64_t leaf;
    const View__Place *place = contact_find_place(&contact->profile, contact->lookup, &leaf);
    const char *state = profile_member_text(&contact->profile, item, "state");
    if (place == NULL) {
        return state != NULL; // past its window: carried out or not
    }
    return place->state == RESERVATION_HANDED ||
           (place->state == RESERVATION_HELD && contact->now_us < place->lapse_us);
}

int contact_answered(struct contact *contact, json_t **ret) {
    View__Item *item;
    *ret = NULL;
    int r = profile_item(&contact->profile, ITEM_CONTACT, contact->contact_id, &item);
    const char *verdict =
        r != 0 || item == NULL ? NULL : profile_member_text(&contact->profile, item, "verdict");
    if (r != 0 || verdict == NULL) {
        return r;
    }
    contact->was_deferred = strcmp(verdict, verdict_names[CONTACT_DEFERRED]) == 0;
    bool is_approved = strcmp(verdict, verdict_names[CONTACT_APPROVED]) == 0;
    if (!GUARD(contact_same_answer) || contact->was_deferred ||
        (is_approved && !stands(contact, item))) {
        return 0;
    }
    return again(contact, item, ret);
}

// SPDX-License-Identifier: Apache-2.0
// Tier and phase, judged anew where an event may have changed what they follow from: registered,
// orders, days with visits, worth, the CRM's word. What comes out otherwise than it stood is said
// by standing.changed of the surviving customer, with the figures and the thresholds that were
// used. Nobody is taken from the most valuable for a short fall: below what keeps the tier a due
// time is set, said by an event in which old and new are the same, and only when it passes the tier
// goes.
//
// Page views come here too: what they cost is a look at a record that the fold has decoded already.
// Orders of other currencies than the organisation's are worth nothing here.
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "broker/fold/register.h"
#include "broker/fold/worth.h"
#include "broker/rules/rules_internal.h"
#include "broker/rules/rules_map.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/money.h"
#include "schemas/body.h"

static const char MVC[] = "mvc";
static const uint8_t DEMOTION_ID[LOOKUP_BYTES]; // a customer has one such due time

// What standing follows from.
struct facts {
    uint64_t survivor;
    const View__Customer *record; // the survivor's
    uint64_t leaves[STAMP_LEAVES_MAX];
    size_t n_leaves;
    bool registered;
    uint64_t orders;
    size_t visit_days;
    int64_t value_micro;
    bool was_most_valuable;
    int64_t demoted_us; // when it is due to be demoted; 0: it is not
};

// ---- the facts

static const char *tier_of(const View__Customer *record) {
    return *record->tier == '\0' ? "guest" : record->tier;
}

static const char *phase_of(const View__Customer *record) {
    return *record->phase == '\0' ? "acquisition" : record->phase;
}

// Who the customer is a part of, and who else is.
static int find_leaves(struct judging *judging, uint64_t customer, struct facts *facts) {
    int r = fold_survivor(judging->fold, judging->txn, customer, &facts->survivor);
    r = r != 0 ? r : fold_customer(judging->fold, judging->txn, facts->survivor, &facts->record);
    if (r != 0) {
        return r;
    }
    facts->leaves[0] = facts->survivor;
    facts->n_leaves = 1;
    for (size_t i = 0; i < facts->record->n_leaves && facts->n_leaves < STAMP_LEAVES_MAX; i++) {
        facts->leaves[facts->n_leaves++] = facts->record->leaves[i];
    }
    return 0;
}

static size_t add_days(uint32_t days[static VISIT_DAYS_MAX], size_t n,
                       const View__Customer *record) {
    for (size_t i = 0; i < record->n_visit_day; i++) {
        size_t at = 0;
        while (at < n && days[at] != record->visit_day[i]) {
            at++;
        }
        if (at == n && n < VISIT_DAYS_MAX) {
            days[n++] = record->visit_day[i];
        }
    }
    return n;
}

// What stands open in the leaves' records.
static int read_records(struct judging *judging, struct facts *facts) {
    uint32_t days[VISIT_DAYS_MAX] = {0};
    int r = 0;
    for (size_t i = 0; r == 0 && i < facts->n_leaves; i++) {
        const View__Customer *record;
        r = fold_customer(judging->fold, judging->txn, facts->leaves[i], &record);
        if (r == 0) {
            facts->registered |= record->registered;
            facts->visit_days = add_days(days, facts->visit_days, record);
        }
    }
    return r;
}

// Of a merged customer the orders are read, which needs the records to be written down: they are
// looked up again behind it.
static int read_value(struct judging *judging, struct facts *facts) {
    _cleanup_(cleanup_arena) struct arena *arena = NULL;
    const char *currency = judging->policy->organisation.currency;
    struct profile profile;
    if (facts->n_leaves == 1) {
        facts->orders = facts->record->orders;
        facts->value_micro = worth_in(facts->record, currency);
        return 0;
    }
    int r = rules_profile(judging, facts->survivor, &arena, &profile);
    r = r != 0 ? r : profile_value(&profile, currency, &facts->value_micro, &facts->orders);
    return r > 0 ? -EBADMSG : r != 0 ? r : find_leaves(judging, facts->survivor, facts);
}

static bool is_yes(const View__Attribute *attribute) {
    struct body_value value;
    if (attribute == NULL || !body_read(attribute->value.data, attribute->value.len, &value)) {
        return false;
    }
    return value.kind == BODY_TEXT
               ? (value.text_size == 4 && memcmp(value.text, "true", 4) == 0) ||
                     (value.text_size == 3 && memcmp(value.text, "yes", 3) == 0)
               : (value.kind == BODY_BOOL || value.kind == BODY_INTEGER) && value.integer != 0;
}

// Whether the CRM says so. Sealed: opened only where it decides.
static int read_flag(struct judging *judging, const struct facts *facts, bool *ret) {
    const View__Attribute *best = NULL;
    for (size_t i = 0; i < facts->n_leaves; i++) {
        const View__Person *person;
        int r = fold_customer_person(judging->fold, judging->txn, facts->leaves[i], &person);
        if (r != 0) {
            return r;
        }
        for (size_t j = 0; j < person->n_attributes; j++) {
            const View__Attribute *one = person->attributes[j];
            if (strcmp(one->name, MVC) == 0 && (best == NULL || register_beats(one, best))) {
                best = one;
            }
        }
    }
    *ret = is_yes(best);
    return 0;
}

static int read_facts(struct judging *judging, uint64_t customer, struct facts *ret) {
    *ret = (struct facts){.demoted_us = 0};
    int r = find_leaves(judging, customer, ret);
    r = r != 0 ? r : read_value(judging, ret);
    r = r != 0 ? r : read_records(judging, ret);
    r = r != 0
            ? r
            : timer_get(judging->txn, ret->survivor, TIMER_DEMOTION, DEMOTION_ID, &ret->demoted_us);
    ret->was_most_valuable = strcmp(tier_of(ret->record), MVC) == 0;
    return r;
}

// ---- what follows from them

struct verdict {
    const char *tier, *phase;
    int64_t demoted_us; // as it is to be from here on
};

static size_t visit_days_asked(const struct policy_standing *policy) {
    return policy->client_visit_days < VISIT_DAYS_MAX ? policy->client_visit_days : VISIT_DAYS_MAX;
}

static const char *lesser_tier(const struct policy_standing *policy, const struct facts *facts) {
    size_t days = visit_days_asked(policy);
    bool is_client = (policy->client_orders > 0 && facts->orders >= policy->client_orders) ||
                     (days > 0 && facts->visit_days >= days);
    return is_client ? "client" : facts->registered ? "registered" : "guest";
}

static int64_t keeps_from(const struct policy_standing *policy) {
    return (int64_t)((double)policy->mvc_value_micro * policy->mvc_keep);
}

static int judge_tier(struct judging *judging, const struct facts *facts, bool is_due,
                      struct verdict *ret) {
    const struct policy_standing *policy = &judging->policy->standing;
    bool by_value = policy->mvc_value_micro > 0, is_flagged = false;
    ret->demoted_us = 0;
    ret->tier = MVC;
    if (by_value && facts->value_micro >=
                        (facts->was_most_valuable ? keeps_from(policy) : policy->mvc_value_micro)) {
        return 0;
    }
    int r = read_flag(judging, facts, &is_flagged);
    if (r != 0 || is_flagged) {
        return r;
    }
    bool has_grace = GUARD(mvc_grace) && facts->was_most_valuable && by_value && !is_due &&
                     policy->mvc_grace_us > 0;
    if (has_grace) {
        ret->demoted_us =
            facts->demoted_us != 0 ? facts->demoted_us : judging->timer_us + policy->mvc_grace_us;
        return 0;
    }
    ret->tier = lesser_tier(policy, facts);
    return 0;
}

static const char *judge_phase(const struct policy_standing *policy, const struct facts *facts) {
    return facts->orders == 0                          ? "acquisition"
           : facts->orders >= policy->retention_orders ? "retention"
                                                       : "enhancement";
}

// ---- saying so

static void pack_used(struct rules_map *map, const struct policy_standing *policy) {
    char value[MONEY_TEXT_BYTES], keeps[MONEY_TEXT_BYTES];
    rules_map_map(map, "used", 6);
    rules_map_integer(map, "client_orders", policy->client_orders);
    rules_map_integer(map, "client_visit_days", visit_days_asked(policy));
    rules_map_integer(map, "retention_orders", policy->retention_orders);
    rules_map_text(map, "mvc_value", money_format(policy->mvc_value_micro, value));
    rules_map_text(map, "mvc_keep", money_format(keeps_from(policy), keeps));
    rules_map_integer(map, "mvc_grace_s", policy->mvc_grace_us / CLOCK_US_PER_S);
}

static int pack_change(struct judging *judging, const struct facts *facts,
                       const struct verdict *verdict, const char *what, const char *old,
                       const char *new, ProtobufCBinaryData *ret) {
    char value[MONEY_TEXT_BYTES], until[CLOCK_TEXT_BYTES];
    bool is_lent = verdict->demoted_us != 0;
    struct rules_map map;
    rules_map_begin(&map, is_lent ? 10 : 9);
    rules_map_text(&map, "what", what);
    rules_map_text(&map, "old", old);
    rules_map_text(&map, "new", new);
    rules_map_text(&map, "value", money_format(facts->value_micro, value));
    rules_map_text(&map, "currency", judging->policy->organisation.currency);
    rules_map_integer(&map, "orders", (int64_t)facts->orders);
    rules_map_integer(&map, "visit_days", (int64_t)facts->visit_days);
    rules_map_bool(&map, "registered", facts->registered);
    pack_used(&map, &judging->policy->standing);
    if (is_lent) {
        rules_map_text(&map, "until", clock_format_rfc3339(verdict->demoted_us, until));
    }
    return rules_map_take(&map, judging->arena, ret);
}

static int say(struct judging *judging, const struct facts *facts, const struct verdict *verdict,
               const char *what, const char *old, const char *new) {
    Touchbus__Event *event;
    ProtobufCBinaryData data = {0};
    // One event can change several customers' standing.
    const char *id = arena_printf(judging->arena, "%s-%" PRIu64, what, facts->survivor);
    int r = id == NULL ? -ENOMEM : pack_change(judging, facts, verdict, what, old, new, &data);
    if (r != 0) {
        return r;
    }
    r = rules_follow_up_packed(judging, id, "standing.changed", data, facts->survivor, &event);
    if (r != 0) {
        return r < 0 ? r : 0; // too many: it is judged again with the next event
    }
    event->channel = arena_strdup(judging->arena, ""); // it happens on none
    event->stamp = arena_alloc(judging->arena, sizeof(*event->stamp));
    if (event->stamp == NULL || event->channel == NULL) {
        return -ENOMEM;
    }
    touchbus__stamp__init(event->stamp);
    event->stamp->tier = arena_strdup(judging->arena, verdict->tier);
    event->stamp->phase = arena_strdup(judging->arena, verdict->phase);
    event->stamp->value_micro = facts->value_micro;
    if (verdict->demoted_us != facts->demoted_us) {
        r = rules_arm(judging->arena, event, TIMER_DEMOTION, DEMOTION_ID, verdict->demoted_us);
    }
    return event->stamp->tier == NULL || event->stamp->phase == NULL ? -ENOMEM : r;
}

static int judge(struct judging *judging, struct facts *facts, bool is_due) {
    struct verdict verdict = {.phase = judge_phase(&judging->policy->standing, facts)};
    int r = judge_tier(judging, facts, is_due, &verdict);
    const char *tier = tier_of(facts->record), *phase = phase_of(facts->record);
    if (r == 0 && (strcmp(verdict.tier, tier) != 0 || verdict.demoted_us != facts->demoted_us)) {
        r = say(judging, facts, &verdict, "tier", tier, verdict.tier);
    }
    if (r == 0 && strcmp(verdict.phase, phase) != 0) {
        facts->demoted_us = verdict.demoted_us; // said
        r = say(judging, facts, &verdict, "phase", phase, verdict.phase);
    }
    return r;
}

static int judge_customer(struct judging *judging, uint64_t customer, bool was_most_valuable) {
    struct facts facts;
    int r = read_facts(judging, customer, &facts);
    facts.was_most_valuable |= was_most_valuable;
    return r != 0 || facts.record->erased_sequence != 0 ? r : judge(judging, &facts, false);
}

// ---- the rules

int standing_follow(struct judging *judging) {
    return judging->customer == 0 ? 0 : judge_customer(judging, judging->customer, false);
}

// Only where a third day may have come, of somebody whom it makes a client.
int standing_follow_visit(struct judging *judging) {
    size_t days = visit_days_asked(&judging->policy->standing);
    const View__Customer *record;
    struct facts facts = {.n_leaves = 0};
    if (judging->customer == 0 || days == 0) {
        return 0;
    }
    int r = fold_customer(judging->fold, judging->txn, judging->customer, &record);
    if (r != 0 || (record->into == 0 && record->n_leaves == 0 && record->n_visit_day < days)) {
        return r;
    }
    r = find_leaves(judging, judging->customer, &facts);
    if (r != 0 || strcmp(facts.record->tier, MVC) == 0 ||
        strcmp(facts.record->tier, "client") == 0) {
        return r;
    }
    r = read_records(judging, &facts);
    return r != 0 || facts.visit_days < days ? r : judge_customer(judging, facts.survivor, false);
}

// Only what the CRM says of the tier.
int standing_follow_attributes(struct judging *judging) {
    static const char *const maps[] = {"fields", "traits"};
    const ProtobufCBinaryData *data = &judging->event->data;
    struct body_value map, flag;
    for (size_t i = 0; data->len > 0 && i < sizeof(maps) / sizeof(maps[0]); i++) {
        if (body_find(data->data, data->len, maps[i], &map) &&
            body_find(map.raw, map.raw_size, MVC, &flag)) {
            return standing_follow(judging);
        }
    }
    return 0;
}

static int is_most_valuable(struct judging *judging, uint64_t customer, bool *ret) {
    const View__Customer *record;
    int r = fold_customer(judging->fold, judging->txn, customer, &record);
    *ret = r == 0 && strcmp(record->tier, MVC) == 0;
    return r;
}

// Who was merged, and both sides of a split. The most valuable bring their grace along.
int standing_follow_identity(struct judging *judging) {
    const Touchbus__Stamp *stamp = judging->event->stamp;
    bool was = false;
    int r = 0;
    if (stamp != NULL && stamp->merge_into != 0 && stamp->merge_from != 0) {
        r = is_most_valuable(judging, stamp->merge_from, &was);
        r = r != 0 ? r : judge_customer(judging, stamp->merge_into, was);
    }
    if (r == 0 && stamp != NULL && stamp->split != 0) {
        r = judge_customer(judging, stamp->split, false);
        for (size_t i = 0; r == 0 && i < stamp->n_vetoes && i == 0; i++) {
            r = judge_customer(judging, stamp->vetoes[i], false);
        }
    }
    return r;
}

// Below for long enough. Of one who was merged since, the other's due time counts.
int standing_due(struct judging *judging, const struct timer_due *due) {
    struct facts facts;
    int r = read_facts(judging, due->customer, &facts);
    if (r != 0 || facts.survivor != due->customer || facts.record->erased_sequence != 0) {
        return r;
    }
    return judge(judging, &facts, true);
}

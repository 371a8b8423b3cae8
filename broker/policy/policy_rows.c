// SPDX-License-Identifier: Apache-2.0
// The tables: a row a member, and the words it may be. To add a setting: a member in policy.h, a
// row here, its value in policy.yaml, a line in README.md.
#include "broker/policy/policy_rows.h"

#include <string.h>

#include "broker/policy/policy_words.h"

#define AT(type, member) .offset = offsetof(struct type, member)
#define COUNTED(type, member) AT(type, member), .count_offset = offsetof(struct type, n_##member)
#define TABLE(name, type, names)                                                                   \
    static const struct policy_table name = {.rows = name##_rows,                                  \
                                             .n_rows =                                             \
                                                 sizeof(name##_rows) / sizeof(name##_rows[0]),     \
                                             .bytes = sizeof(struct type),                         \
                                             .key = (names)}
#define DAYS(n) ((double)(n)*86400e6)
#define MONEY_MAX 1e15 // a thousand million

static const struct policy_row organisation_rows[] = {
    {"region", POLICY_TEXT, AT(policy_organisation, region), .words = &policy_region},
    {"zone", POLICY_TEXT, AT(policy_organisation, zone), .words = &policy_zone},
    {"currency", POLICY_TEXT, AT(policy_organisation, currency), .words = &policy_currency},
};
TABLE(organisation, policy_organisation, NULL);

static const struct policy_row kind_rows[] = {
    {"kind", POLICY_TEXT, AT(policy_kind, kind), .words = &policy_name, .required = true},
    {"class", POLICY_TEXT, AT(policy_kind, class), .words = &policy_class, .required = true},
};
TABLE(kind, policy_kind, "kind");

static const struct policy_row class_rows[] = {
    {"class", POLICY_TEXT, AT(policy_class, class), .words = &policy_class, .required = true},
    {"keys", POLICY_NUMBER, AT(policy_class, keys), .min = 1, .max = 200, .required = true},
    {"within", POLICY_DURATION, AT(policy_class, within_us), .max = DAYS(3650)},
};
TABLE(class, policy_class, "class");

static const struct policy_row identity_rows[] = {
    {"kinds", POLICY_LIST, COUNTED(policy_identity, kinds), .rows = &kind},
    {"limits", POLICY_LIST, COUNTED(policy_identity, limits), .rows = &class},
    {"keys_max", POLICY_NUMBER, AT(policy_identity, keys_max), .min = 1, .max = 200},
    {"merges_max", POLICY_NUMBER, AT(policy_identity, merges_max), .max = 20},
    {"merges_a_day", POLICY_NUMBER, AT(policy_identity, merges_a_day), .max = 20},
    {"contested_max", POLICY_NUMBER, AT(policy_identity, contested_max), .min = 1, .max = 100},
    {"contested_within", POLICY_DURATION, AT(policy_identity, contested_us), .min = 1e6,
     .max = DAYS(365)},
    {"merge_sources", POLICY_NAMES, COUNTED(policy_identity, merge_sources)},
    {"nobody", POLICY_NAMES, COUNTED(policy_identity, nobody)},
};
TABLE(identity, policy_identity, NULL);

static const struct policy_row channel_rows[] = {
    {"name", POLICY_TEXT, AT(policy_channel, name), .words = &policy_name, .required = true},
    {"cost", POLICY_MONEY, AT(policy_channel, cost_micro), .max = MONEY_MAX},
    {"live", POLICY_FLAG, AT(policy_channel, live)},
    {"contact", POLICY_FLAG, AT(policy_channel, contact)},
    {"cap_day", POLICY_NUMBER, AT(policy_channel, cap_day), .max = 1000},
    {"cap_week", POLICY_NUMBER, AT(policy_channel, cap_week), .max = 1000},
    {"lapse", POLICY_DURATION, AT(policy_channel, lapse_us), .max = DAYS(90)},
    {"arrives", POLICY_DURATION, AT(policy_channel, arrives_us), .max = DAYS(30)},
    {"needs", POLICY_TEXT, AT(policy_channel, needs), .words = &policy_name_or_none},
    {"budget", POLICY_MONEY, AT(policy_channel, budget_micro), .max = MONEY_MAX},
    {"budget_stops", POLICY_FLAG, AT(policy_channel, budget_stops)},
};
TABLE(channel, policy_channel, "name");

static const struct policy_row contact_rows[] = {
    {"cap_day", POLICY_NUMBER, AT(policy_contact, cap_day), .max = 1000},
    {"cap_week", POLICY_NUMBER, AT(policy_contact, cap_week), .max = 1000},
    {"quiet_from", POLICY_CLOCK, AT(policy_contact, quiet_from_us)},
    {"quiet_until", POLICY_CLOCK, AT(policy_contact, quiet_until_us)},
    {"skip", POLICY_NAMES, COUNTED(policy_contact, skip), .words = &policy_name},
    {"marketing", POLICY_NAMES, COUNTED(policy_contact, marketing), .words = &policy_name},
};
TABLE(contact, policy_contact, NULL);

static const struct policy_row standing_rows[] = {
    {"client_orders", POLICY_NUMBER, AT(policy_standing, client_orders), .max = 1000},
    {"client_visit_days", POLICY_NUMBER, AT(policy_standing, client_visit_days), .max = 1000},
    {"mvc_value", POLICY_MONEY, AT(policy_standing, mvc_value_micro), .max = MONEY_MAX},
    {"mvc_keep", POLICY_REAL, AT(policy_standing, mvc_keep), .max = 1},
    {"mvc_grace", POLICY_DURATION, AT(policy_standing, mvc_grace_us), .max = DAYS(3650)},
    {"retention_orders", POLICY_NUMBER, AT(policy_standing, retention_orders), .min = 1,
     .max = 1000},
    {"inactive", POLICY_DURATION, AT(policy_standing, inactive_us), .min = 1e6, .max = DAYS(3650)},
    {"checkout", POLICY_DURATION, AT(policy_standing, checkout_us), .min = 1e6, .max = DAYS(90)},
    {"access_guest", POLICY_NUMBER, AT(policy_standing, access_guest), .max = 100},
    {"access_registered", POLICY_NUMBER, AT(policy_standing, access_registered), .max = 100},
    {"access_client", POLICY_NUMBER, AT(policy_standing, access_client), .max = 100},
    {"access_mvc", POLICY_NUMBER, AT(policy_standing, access_mvc), .max = 100},
};
TABLE(standing, policy_standing, NULL);

static const struct policy_row queue_rows[] = {
    {"name", POLICY_TEXT, AT(policy_queue, name), .words = &policy_name, .required = true},
    {"channels", POLICY_NAMES, COUNTED(policy_queue, channels), .words = &policy_name},
    {"needs", POLICY_NAMES, COUNTED(policy_queue, needs)},
    {"skills", POLICY_NAMES, COUNTED(policy_queue, skills), .words = &policy_name},
};
TABLE(queue, policy_queue, "name");

static const struct policy_row routing_rows[] = {
    {"queues", POLICY_LIST, COUNTED(policy_routing, queues), .rows = &queue},
    {"bonus_guest", POLICY_REAL, AT(policy_routing, bonus_guest), .max = 1440},
    {"bonus_registered", POLICY_REAL, AT(policy_routing, bonus_registered), .max = 1440},
    {"bonus_client", POLICY_REAL, AT(policy_routing, bonus_client), .max = 1440},
    {"bonus_mvc", POLICY_REAL, AT(policy_routing, bonus_mvc), .max = 1440},
    {"ring", POLICY_DURATION, AT(policy_routing, ring_us), .min = 1e6, .max = DAYS(1)},
    {"rings", POLICY_NUMBER, AT(policy_routing, rings), .max = 20},
};
TABLE(routing, policy_routing, NULL);

static const struct policy_row offer_rows[] = {
    {"id", POLICY_TEXT, AT(policy_offer, id), .words = &policy_name, .required = true},
    {"texts", POLICY_TEXTS, COUNTED(policy_offer, texts), .required = true},
    {"needs", POLICY_NAMES, COUNTED(policy_offer, needs)},
    {"tiers", POLICY_NAMES, COUNTED(policy_offer, tiers), .words = &policy_tier},
    {"phases", POLICY_NAMES, COUNTED(policy_offer, phases), .words = &policy_phase},
    {"segments", POLICY_NAMES, COUNTED(policy_offer, segments), .words = &policy_name},
    {"channels", POLICY_NAMES, COUNTED(policy_offer, channels), .words = &policy_name},
    {"from", POLICY_TIME, AT(policy_offer, from_us)},
    {"until", POLICY_TIME, AT(policy_offer, until_us)},
    {"priority", POLICY_SIGNED, AT(policy_offer, priority), .min = -1000, .max = 1000},
};
TABLE(offer, policy_offer, "id");

static const struct policy_row condition_rows[] = {
    {"field", POLICY_TEXT, AT(policy_condition, field), .words = &policy_field, .required = true},
    {"is", POLICY_TEXT_OR_NOT, AT(policy_condition, is)},
    {"is_not", POLICY_TEXT_OR_NOT, AT(policy_condition, is_not)},
    {"at_least", POLICY_REAL_OR_NOT, AT(policy_condition, at_least), .min = -1e15, .max = 1e15},
    {"below", POLICY_REAL_OR_NOT, AT(policy_condition, below), .min = -1e15, .max = 1e15},
};
TABLE(condition, policy_condition, NULL);

static const struct policy_row segment_rows[] = {
    {"name", POLICY_TEXT, AT(policy_segment, name), .words = &policy_name, .required = true},
    {"all", POLICY_LIST, COUNTED(policy_segment, all), .rows = &condition, .required = true},
};
TABLE(segment, policy_segment, "name");

static const struct policy_row greeting_rows[] = {
    {"variant", POLICY_TEXT, AT(policy_greeting, variant), .words = &policy_name, .required = true},
    {"tiers", POLICY_NAMES, COUNTED(policy_greeting, tiers), .words = &policy_tier},
    {"texts", POLICY_TEXTS, COUNTED(policy_greeting, texts), .required = true},
};
TABLE(greeting, policy_greeting, "variant");

static const struct policy_row score_rows[] = {
    {"contacts", POLICY_NAMES, COUNTED(policy_score, contacts), .words = &policy_name},
    {"margin", POLICY_REAL, AT(policy_score, margin), .max = 1},
    {"budget_warns", POLICY_REAL, AT(policy_score, budget_warns), .max = 1},
    {"resolved", POLICY_DURATION, AT(policy_score, resolved_us), .max = DAYS(365)},
};
TABLE(score, policy_score, NULL);

static const struct policy_row sections[] = {
    {"organisation", POLICY_SECTION, AT(policy, organisation), .rows = &organisation},
    {"identity", POLICY_SECTION, AT(policy, identity), .rows = &identity},
    {"channels", POLICY_LIST, COUNTED(policy, channels), .rows = &channel},
    {"contact", POLICY_SECTION, AT(policy, contact), .rows = &contact},
    {"standing", POLICY_SECTION, AT(policy, standing), .rows = &standing},
    {"routing", POLICY_SECTION, AT(policy, routing), .rows = &routing},
    {"offers", POLICY_LIST, COUNTED(policy, offers), .rows = &offer},
    {"segments", POLICY_LIST, COUNTED(policy, segments), .rows = &segment},
    {"greetings", POLICY_LIST, COUNTED(policy, greetings), .rows = &greeting},
    {"score", POLICY_SECTION, AT(policy, score), .rows = &score},
};
const struct policy_table policy_table = {
    .rows = sections,
    .n_rows = sizeof(sections) / sizeof(sections[0]),
    .bytes = sizeof(struct policy),
};

const struct policy_row *policy_row(const struct policy_table *table, const char *name) {
    for (size_t i = 0; i < table->n_rows; i++) {
        if (strcmp(table->rows[i].name, name) == 0) {
            return &table->rows[i];
        }
    }
    return NULL;
}

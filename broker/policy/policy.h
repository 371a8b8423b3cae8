// SPDX-License-Identifier: Apache-2.0
// What an enterprise decides for itself: key classes and their limits, channels with costs, contact
// caps and quiet hours, tiers, phases, queues and skills, offers, segments, greetings. A YAML file
// (--policy), read at start and on SIGHUP; without one the built-in policy.yaml, whose sections the
// file replaces one by one. Rules and queries read it, the fold never does: what a rule used is
// stamped into the event. Immutable once loaded. Text is never NULL where the comment does not say
// so; times are microseconds, money millionths of the organisation's currency.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct policy_organisation {
    char *region;   // ISO 3166-1 alpha-2: of phone numbers without a country
    char *zone;     // tz database: where a customer's own is not known
    char *currency; // ISO 4217
};

// A class as in broker/tick/normalise.h, by its name there without KEY_, in small letters.
struct policy_kind {
    char *kind;  // e.g. "email"; also stands for "email.REALM"
    char *class; // strong, medium, weak, shared, partner
};

struct policy_class {
    char *class;
    unsigned keys;     // of one kind a customer may get
    int64_t within_us; // in this time; 0: ever
};

struct policy_identity {
    struct policy_kind *kinds;
    unsigned n_kinds;
    struct policy_class *limits;
    unsigned n_limits;
    unsigned keys_max, merges_max, merges_a_day; // of one customer: 200, 20, 5
    unsigned contested_max;                      // customers a medium value may meet: 10
    int64_t contested_us;                        // within: 30 days
    char **merge_sources;                        // globs of sources whose events may merge
    unsigned n_merge_sources;
    char **nobody; // globs of values that are nobody, beside the built-in ones; kind=glob or glob
    unsigned n_nobody;
};

struct policy_channel {
    char *name;
    int64_t cost_micro;         // of one contact, where the event has none of its own
    bool live;                  // somebody waits: routed
    bool contact;               // may be asked for by contact.requested
    unsigned cap_day, cap_week; // contacts of one customer; 0: only the caps over all
    int64_t lapse_us; // a reservation not handed over lapses: phone 15 min, e-mail 1 h, letter 7 d
    int64_t arrives_us;   // from sending to arriving: letters; 0: at once
    char *needs;          // kind of key or attribute without which it cannot be used; "": none
    int64_t budget_micro; // a calendar month; 0: none
    bool budget_stops;    // beyond 100 %: no contacts but service
};

struct policy_contact {
    unsigned cap_day, cap_week;            // over all channels: 1 and 3
    int64_t quiet_from_us, quiet_until_us; // local time of day; equal: none
    char **skip; // purposes that skip caps and quiet hours: legal, transactional
    unsigned n_skip;
    char **marketing; // purposes that need consent and stop at complaints and objections
    unsigned n_marketing;
};

struct policy_standing {
    unsigned client_orders;     // 1
    unsigned client_visit_days; // 3
    int64_t mvc_value_micro;    // 0: only by the CRM's flag
    double mvc_keep;            // 0.8 of it
    int64_t mvc_grace_us;       // 30 days below before it is lost
    unsigned retention_orders;  // 2
    int64_t inactive_us;        // Z
    int64_t checkout_us;        // a cart untouched for so long was left
    unsigned access_guest, access_registered, access_client, access_mvc; // access levels
};

struct policy_queue {
    char *name;
    char **channels; // none: any
    unsigned n_channels;
    char **needs; // needs, IVR choices or case kinds that lead here; none: any
    unsigned n_needs;
    char **skills;
    unsigned n_skills;
};

struct policy_routing {
    struct policy_queue *queues; // first match
    unsigned n_queues;
    double bonus_guest, bonus_registered, bonus_client, bonus_mvc; // minutes
    int64_t ring_us; // each ring later one skill less, the last of the list first
    unsigned rings;  // at most
};

struct policy_text {
    char *language; // BCP 47; "" any
    char *text;
};

// Offers, and content that a site or kiosk shows.
struct policy_offer {
    char *id;
    struct policy_text *texts;
    unsigned n_texts;
    char **needs, **tiers, **phases, **segments, **channels; // none: any
    unsigned n_needs, n_tiers, n_phases, n_segments, n_channels;
    int64_t from_us, until_us; // 0: none
    int priority;              // best first
};

// One condition: a field of the profile (tier, phase, value, orders, language, attributes.NAME,
// needs.TERM, counters.CHANNEL.TYPE, ...) and what it has to be.
struct policy_condition {
    char *field;
    char *is;                 // NULL: not asked
    char *is_not;             // NULL: not asked
    double *at_least, *below; // NULL: not asked
};

struct policy_segment {
    char *name;
    struct policy_condition *all;
    unsigned n_all;
};

struct policy_greeting {
    char *variant;
    char **tiers;
    unsigned n_tiers;          // none: any
    struct policy_text *texts; // {name} stands for the customer's
    unsigned n_texts;
};

struct policy_score {
    char **contacts; // event types that count as one contact
    unsigned n_contacts;
    double margin;       // of revenue, where a line has none of its own: 0.3
    double budget_warns; // 0.8
    int64_t resolved_us; // a new case of the kind within it: not resolved at first contact
};

struct policy {
    struct policy_organisation organisation;
    struct policy_identity identity;
    struct policy_channel *channels;
    unsigned n_channels;
    struct policy_contact contact;
    struct policy_standing standing;
    struct policy_routing routing;
    struct policy_offer *offers;
    unsigned n_offers;
    struct policy_segment *segments;
    unsigned n_segments;
    struct policy_greeting *greetings; // first match
    unsigned n_greetings;
    struct policy_score score;
    char *printed; // all of it, in one line: what the log keeps to know a changed one by
};

// The built-in policy, its sections replaced by those of the file (NULL: none). 0; -EINVAL after
// *ret_error (malloc'ed, the caller's) names file, line and what is wrong; -ENOMEM.
int policy_load(const char *path, struct policy **ret, char **ret_error);
// The same from text in memory, for tests and fuzzing; `name` stands for the file in errors.
int policy_parse(const char *text, size_t size, const char *name, struct policy **ret,
                 char **ret_error);
struct policy *policy_free(struct policy *policy); // takes NULL; returns NULL

// ---- looking things up. Borrowed, valid as long as the policy.
// NULL where it has no such channel.
const struct policy_channel *policy_channel(const struct policy *policy, const char *name);
// Whether a list of names or globs holds it; an empty list holds everything.
bool policy_holds(char *const *list, unsigned n, const char *name);
// The text in the language, else in its main language (de for de-AT), else the one for any, else
// the first; NULL where there is none.
const char *policy_text(const struct policy_text *texts, unsigned n, const char *language);

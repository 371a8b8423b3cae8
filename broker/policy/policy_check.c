// SPDX-License-Identifier: Apache-2.0
// What only the whole policy shows: names that lead nowhere, spans that end before they begin.
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "broker/policy/policy_rows.h"
#include "schemas/base/guards.h"

__attribute__((format(printf, 4, 5))) static int fault(struct policy_fault *ret, const char *list,
                                                       size_t index, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    vsnprintf(ret->text, sizeof(ret->text), format, ap);
    va_end(ap);
    snprintf(ret->path, sizeof(ret->path), "%s[%zu]", list, index);
    return -EINVAL;
}

static bool has_segment(const struct policy *policy, const char *name) {
    for (unsigned i = 0; i < policy->n_segments; i++) {
        if (strcmp(policy->segments[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

// The first of names that is no channel; NULL: all are.
static const char *no_channel(const struct policy *policy, char *const *names, unsigned n) {
    for (unsigned i = 0; i < n; i++) {
        if (policy_channel(policy, names[i]) == NULL) {
            return names[i];
        }
    }
    return NULL;
}

static int check_offers(const struct policy *policy, struct policy_fault *ret) {
    for (unsigned i = 0; i < policy->n_offers; i++) {
        const struct policy_offer *offer = &policy->offers[i];
        for (unsigned k = 0; k < offer->n_segments; k++) {
            if (GUARD(policy_segments) && !has_segment(policy, offer->segments[k])) {
                return fault(ret, "offers", i, "offer %s: no segment is called '%s'", offer->id,
                             offer->segments[k]);
            }
        }
        const char *name = no_channel(policy, offer->channels, offer->n_channels);
        if (GUARD(policy_channels) && name != NULL) {
            return fault(ret, "offers", i, "offer %s: no channel is called '%s'", offer->id, name);
        }
        if (offer->until_us != 0 && offer->from_us >= offer->until_us) {
            return fault(ret, "offers", i, "offer %s: until is not after from", offer->id);
        }
        if (offer->n_texts == 0) {
            return fault(ret, "offers", i, "offer %s: has no text", offer->id);
        }
    }
    return 0;
}

static int check_segments(const struct policy *policy, struct policy_fault *ret) {
    for (unsigned i = 0; i < policy->n_segments; i++) {
        const struct policy_segment *segment = &policy->segments[i];
        for (unsigned k = 0; k < segment->n_all; k++) {
            const struct policy_condition *one = &segment->all[k];
            if (one->is == NULL && one->is_not == NULL && one->at_least == NULL &&
                one->below == NULL) {
                return fault(ret, "segments", i,
                             "segment %s: %s asks nothing: expected is, is_not, at_least or below",
                             segment->name, one->field);
            }
        }
    }
    return 0;
}

static int check_routing(const struct policy *policy, struct policy_fault *ret) {
    for (unsigned i = 0; i < policy->routing.n_queues; i++) {
        const struct policy_queue *queue = &policy->routing.queues[i];
        const char *name = no_channel(policy, queue->channels, queue->n_channels);
        if (name != NULL) {
            return fault(ret, "routing.queues", i, "queue %s: no channel is called '%s'",
                         queue->name, name);
        }
    }
    return 0;
}

static int check_channels(const struct policy *policy, struct policy_fault *ret) {
    for (unsigned i = 0; i < policy->n_channels; i++) {
        const struct policy_channel *channel = &policy->channels[i];
        if (channel->contact && channel->lapse_us == 0) {
            return fault(ret, "channels", i,
                         "channel %s: contact needs lapse, after which a place not used is free",
                         channel->name);
        }
        if (channel->budget_stops && channel->budget_micro == 0) {
            return fault(ret, "channels", i, "channel %s: budget_stops needs a budget",
                         channel->name);
        }
    }
    return 0;
}

static int check_greetings(const struct policy *policy, struct policy_fault *ret) {
    for (unsigned i = 0; i < policy->n_greetings; i++) {
        if (policy->greetings[i].n_texts == 0) {
            return fault(ret, "greetings", i, "greeting %s: has no text",
                         policy->greetings[i].variant);
        }
    }
    return 0;
}

// Else nobody would ever be contacted.
static int check_contact(const struct policy *policy, struct policy_fault *ret) {
    const int64_t day_us = INT64_C(86400) * 1000000;
    if (policy->contact.quiet_until_us - policy->contact.quiet_from_us >= day_us) {
        snprintf(ret->path, sizeof(ret->path), "contact.quiet_until");
        snprintf(ret->text, sizeof(ret->text), "quiet hours from 00:00 to 24:00 leave none");
        return -EINVAL;
    }
    return 0;
}

int policy_check(const struct policy *policy, struct policy_fault *ret) {
    static int (*const checks[])(const struct policy *policy, struct policy_fault *ret) = {
        check_channels, check_contact, check_routing, check_offers, check_segments, check_greetings,
    };
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof(checks) / sizeof(checks[0]); i++) {
        r = checks[i](policy, ret);
    }
    return r;
}

// SPDX-License-Identifier: Apache-2.0
// Who may ask for what: a question a kind of right, and what of a customer an answer leaves out.
// What is not known to be harmless is withheld.
#include <stdio.h>
#include <string.h>

#include "broker/query/query_call.h"
#include "schemas/base/guards.h"

const struct grant *call_grant(const struct call *call) {
    return access_find(&call->query->reads.access, call->user);
}

// ---- verbs

static bool may_administer(const struct call *call, const struct grant *grant) {
    (void)call;
    return grant->admin || !GUARD(access_admin);
}

static bool may_watch(const struct call *call, const struct grant *grant) {
    return grant->watch || may_administer(call, grant);
}

static bool may_see_subscription(const struct call *call, const struct grant *grant) {
    const char *name = call_argument(call, "name");
    return may_watch(call, grant) ||
           (name != NULL && *name != '\0' && grant_may_subscribe(grant, name));
}

static bool may_read(const struct call *call, const struct grant *grant) {
    (void)call;
    return grant_may_read_anything(grant);
}

static bool may_read_timeline(const struct call *call, const struct grant *grant) {
    (void)call;
    return grant_may_read(grant, "timeline");
}

static bool may_merge(const struct call *call, const struct grant *grant) {
    return grant->merge || may_administer(call, grant);
}

static bool owns_name(const struct call *call, const struct grant *grant) {
    return grant_owns(grant, call_argument(call, "name"));
}

static bool may_anything(const struct call *call, const struct grant *grant) {
    (void)call;
    (void)grant;
    return true;
}

static const struct {
    bool (*allows)(const struct call *call, const struct grant *grant);
    const char *needs;
} rights[] = {
    [VERB_FOR_ADMIN] = {may_administer, "admin"},
    [VERB_FOR_WATCH] = {may_watch, "watch"},
    [VERB_FOR_SUBSCRIPTION] = {may_see_subscription, "watch, or subscribe to it"},
    [VERB_FOR_READ] = {may_read, "read"},
    [VERB_FOR_TIMELINE] = {may_read_timeline, "read=timeline"},
    [VERB_FOR_MERGE] = {may_merge, "merge"},
    [VERB_FOR_OWN_NAME] = {owns_name, "a name of its own"},
    [VERB_FOR_ANY_KEY] = {may_anything, ""},
};

bool call_is_allowed(struct call *call) {
    const struct grant *grant = call_grant(call);
    if (grant == NULL) {
        call_refuse(call, REASON_FORBIDDEN, "the key is not known any more");
        return false;
    }
    if (grant->local || rights[call->verb->right].allows(call, grant)) {
        return true;
    }
    grant_count_forbidden(grant);
    call_refuse(call, REASON_FORBIDDEN, "%s needs the right: %s", call->verb->name,
                rights[call->verb->right].needs);
    return false;
}

// ---- fields of a customer

static bool is_open(const char *field) {
    static const char *const open[] = {"customer", "first_sequence", "last_sequence", "events",
                                       "dropped"};
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
        if (strcmp(open[i], field) == 0) {
            return true;
        }
    }
    return false;
}

// Leaves the attributes that are readable one by one. False: none was taken out.
static bool withhold_attributes(const struct grant *grant, json_t *attributes) {
    const char *name;
    json_t *value;
    void *next;
    bool withheld = false;
    json_object_foreach_safe(attributes, next, name, value) {
        char field[sizeof("attributes.") + ID_BYTES_MAX];
        snprintf(field, sizeof(field), "attributes.%s", name);
        if (!grant_may_read(grant, field)) {
            json_object_del(attributes, name);
            withheld = true;
        }
    }
    return withheld;
}

// What a member is of, where it has another name than the field that roles know.
static const char *field_of(const char *member) {
    static const char *const fields[][2] = {
        {"recent", "timeline"}, {"name", "attributes.name"}, {"language", "preferences"}};
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (strcmp(fields[i][0], member) == 0) {
            return fields[i][1];
        }
    }
    return member;
}

json_t *call_withhold(const struct call *call, json_t *profile) {
    const struct grant *grant = call_grant(call);
    const char *name;
    json_t *value;
    void *next;
    if (profile == NULL || grant == NULL || grant->local) {
        return profile;
    }
    json_t *withheld = json_array();
    json_object_foreach_safe(profile, next, name, value) {
        const char *field = field_of(name);
        if (is_open(name) || grant_may_read(grant, field)) {
            continue;
        }
        if (strcmp(name, "attributes") == 0 && !withhold_attributes(grant, value)) {
            continue;
        }
        json_array_append_new(withheld, json_string(field));
        if (strcmp(name, "attributes") != 0) {
            json_object_del(profile, name);
        }
    }
    json_object_set_new(profile, "withheld", withheld);
    return profile;
}

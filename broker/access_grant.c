// SPDX-License-Identifier: Apache-2.0
// What a grant allows: pure questions about a name and patterns. A right that a role does not name
// allows nothing; the broker's own types and source belong to no key.
#include <string.h>

#include "broker/access_internal.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/envelope.h"

static bool allows(const struct globs *globs, const char *text) {
    for (size_t i = 0; i < globs->n; i++) {
        if (envelope_glob(globs->patterns[i], text)) {
            return true;
        }
    }
    return false;
}

static bool stands_in(const char *const *list, const char *text) {
    while (*list != NULL && strcmp(*list, text) != 0) {
        list++;
    }
    return *list != NULL;
}

// ---- names that belong to a key

// Whether a name of n bytes owns `name`: all of it, or with more behind it.
static bool name_fits(const char *name, size_t n) {
    enum { INSTANCE_DIGITS = 8 };
    const char *rest = name + n;
    if (*rest == '-') { // the kit's: random digits, so that two folders never share a producer
        return strspn(rest + 1, "0123456789abcdef") == INSTANCE_DIGITS &&
               rest[1 + INSTANCE_DIGITS] == '\0';
    }
    return *rest == '\0' || *rest == '/' || *rest == '.';
}

bool grant_owns(const struct grant *grant, const char *name) {
    size_t n = strlen(grant->name);
    if (grant->local) {
        return true;
    }
    if (!GUARD(access_producer)) {
        return true;
    }
    if (strncmp(name, grant->name, n) != 0 || !name_fits(name, n)) {
        return false;
    }
    for (size_t longer = n + 1; longer <= NAME_BYTES_MAX && name[longer - 1] != '\0'; longer++) {
        if (name_fits(name, longer) && access_table_has_name(grant->table, name, longer)) {
            return false;
        }
    }
    return true;
}

// ---- publish

bool grant_may_publish(const struct grant *grant, const char *type) {
    static const char *const own[] = {"admin.acted", "configuration.changed", "events.lost",
                                      "identity.changed", NULL};
    static const char *const merges[] = {"merge.requested", "split.requested", NULL};
    if (grant->local) {
        return true;
    }
    return !GUARD(access_publish) ||
           (allows(&grant->publish, type) && !stands_in(own, type) &&
            (grant->merge || !GUARD(access_merge) || !stands_in(merges, type)));
}

bool grant_may_use_source(const struct grant *grant, const char *source) {
    static const char *const own[] = {"/touchbus", "touchbus", NULL};
    if (grant->local || !GUARD(access_source)) {
        return true;
    }
    if (stands_in(own, source)) {
        return false;
    }
    return grant->source.n > 0 ? allows(&grant->source, source)
                               : grant_owns(grant, source + (*source == '/'));
}

bool grant_take_quota(const struct grant *grant, int64_t now_us) {
    struct access_account *account = grant->account;
    if (account == NULL || grant->quota == 0 || !GUARD(access_quota)) {
        return true;
    }
    // In millionths of an event; a second's worth may be saved up.
    int64_t full = grant->quota * CLOCK_US_PER_S;
    int64_t past_us = now_us - account->tokens_us;
    if (past_us >= CLOCK_US_PER_S || past_us < 0 || account->tokens > full) {
        account->tokens = full;
    } else {
        account->tokens += past_us * grant->quota;
        account->tokens = account->tokens > full ? full : account->tokens;
    }
    account->tokens_us = now_us;
    if (account->tokens < CLOCK_US_PER_S) {
        atomic_fetch_add(&account->busy, 1);
        return false;
    }
    account->tokens -= CLOCK_US_PER_S;
    return true;
}

void grant_count_forbidden(const struct grant *grant) {
    if (grant->account != NULL) {
        atomic_fetch_add(&grant->account->forbidden, 1);
    }
}

// ---- subscribe and read

bool grant_may_subscribe(const struct grant *grant, const char *subscription) {
    return grant->local || !GUARD(access_subscribe) || allows(&grant->subscribe, subscription);
}

// A pattern is looked at as if it were a type: its stars match only stars of what is allowed, so
// whatever it lets pass is allowed, too.
bool grant_may_receive(const struct grant *grant, char *const *types, size_t n_types) {
    if (grant->local || !GUARD(access_receive)) {
        return true;
    }
    bool covered = n_types > 0 || allows(&grant->receive, "*");
    for (size_t i = 0; covered && i < n_types; i++) {
        covered = allows(&grant->receive, types[i]);
    }
    return covered;
}

bool grant_may_read(const struct grant *grant, const char *field) {
    return grant->local || !GUARD(access_read) || allows(&grant->read, field);
}

bool grant_may_read_anything(const struct grant *grant) {
    return grant->local || !GUARD(access_read) || grant->read.n > 0;
}

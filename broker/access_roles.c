// SPDX-License-Identifier: Apache-2.0
// Roles: "NAME right=globs ... flag ...", one row an option. A table says which rights there are;
// what is not in it, stands twice or has no value is refused with the token's own words.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/access_internal.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/utf8.h"

// The fields of customer.show that a role names; attributes.NAME besides. recent is of the
// timeline.
// Of customer.show and customer.screen.
static const char *const fields[] = {
    "keys",           "attributes", "counters", "timeline", "leaves",   "merged",
    "tier",           "phase",      "access",   "value",    "owner",    "satisfaction",
    "preferences",    "needs",      "products", "balance",  "orders",   "quotes",
    "cases",          "calls",      "chats",    "carts",    "promises", "answers",
    "consents",       "contacts",   "contents", "offers",   "leads",    "opportunities",
    "credits",        "invoices",   "assets",   "groups",   "messages", "restrictions",
    "fitting_offers", "greeting",   "must_not"};

static bool is_any(const char *glob) {
    (void)glob;
    return true;
}

static bool is_field(const char *glob) {
    static const char attribute[] = "attributes.";
    if (strchr(glob, '*') != NULL || strncmp(glob, attribute, sizeof(attribute) - 1) == 0) {
        return true;
    }
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (strcmp(fields[i], glob) == 0) {
            return true;
        }
    }
    return false;
}

enum right_kind { RIGHT_GLOBS, RIGHT_NUMBER, RIGHT_FLAG };

static const struct right {
    const char *name;
    enum right_kind kind;
    size_t offset;                    // in struct role
    bool (*may_be)(const char *glob); // RIGHT_GLOBS
} rights[] = {
    {"publish", RIGHT_GLOBS, offsetof(struct role, publish), is_any},
    {"source", RIGHT_GLOBS, offsetof(struct role, source), is_any},
    {"subscribe", RIGHT_GLOBS, offsetof(struct role, subscribe), is_any},
    {"receive", RIGHT_GLOBS, offsetof(struct role, receive), is_any},
    {"read", RIGHT_GLOBS, offsetof(struct role, read), is_field},
    {"quota", RIGHT_NUMBER, offsetof(struct role, quota), NULL},
    {"merge", RIGHT_FLAG, offsetof(struct role, merge), NULL},
    {"watch", RIGHT_FLAG, offsetof(struct role, watch), NULL},
    {"admin", RIGHT_FLAG, offsetof(struct role, admin), NULL},
};
enum { N_RIGHTS = sizeof(rights) / sizeof(rights[0]) };

// A subscription of its own name, and the one in which the kit hears of erasures.
#define OWN_SUBSCRIPTIONS "%n,%n/*,privacy.%n,privacy.%n/*"

static const char *const built_in[] = {
    "admin publish=* source=* subscribe=* receive=* read=* merge watch admin",
    "monitor watch",
    "viewer read=*",
    "source publish=* subscribe=" OWN_SUBSCRIPTIONS " receive=privacy.changed",
    "sink subscribe=" OWN_SUBSCRIPTIONS " receive=*",
    "connector publish=* subscribe=" OWN_SUBSCRIPTIONS " receive=*",
};
enum { N_BUILT_IN = sizeof(built_in) / sizeof(built_in[0]) };

// ---- globs

static void globs_clear(struct globs *globs) {
    for (size_t i = 0; i < globs->n; i++) {
        free(globs->patterns[i]);
    }
    free(globs->patterns);
    *globs = (struct globs){0};
}

static int globs_add(struct globs *globs, const char *text) {
    char **grown = reallocarray(globs->patterns, globs->n + 1, sizeof(*grown));
    if (grown == NULL) {
        return -ENOMEM;
    }
    globs->patterns = grown;
    globs->patterns[globs->n] = strdup(text);
    return globs->patterns[globs->n++] == NULL ? -ENOMEM : 0;
}

// The pattern with the key's name for %n.
static char *put_in_name(const char *pattern, const char *name) {
    size_t size = strlen(pattern) + 1;
    for (const char *at = strstr(pattern, "%n"); at != NULL; at = strstr(at + 2, "%n")) {
        size += strlen(name);
    }
    char *text = malloc(size);
    char *to = text;
    while (text != NULL && *pattern != '\0') {
        if (pattern[0] == '%' && pattern[1] == 'n') {
            size_t n = strlen(name);
            memcpy(to, name, n);
            to += n;
            pattern += 2;
        } else {
            *to++ = *pattern++;
        }
    }
    if (text != NULL) {
        *to = '\0';
    }
    return text;
}

static int globs_for(const struct globs *globs, const char *name, struct globs *ret) {
    for (size_t i = 0; i < globs->n; i++) {
        _cleanup_free_ char *text = put_in_name(globs->patterns[i], name);
        int r = text == NULL ? -ENOMEM : globs_add(ret, text);
        if (r != 0) {
            return r;
        }
    }
    return 0;
}

// ---- one token

static bool glob_ok(const char *glob) {
    size_t size = strlen(glob);
    for (const char *at = strchr(glob, '%'); at != NULL; at = strchr(at + 1, '%')) {
        if (at[1] != 'n') {
            return false;
        }
    }
    return size > 0 && size <= ID_BYTES_MAX && utf8_check_printable(glob, size);
}

// 0; -EINVAL with *ret_what.
static int parse_globs(const struct right *right, char *value, struct globs *ret,
                       const char **ret_what) {
    char *rest = value;
    for (char *glob = strsep(&rest, ","); glob != NULL; glob = strsep(&rest, ",")) {
        if (!glob_ok(glob)) {
            *ret_what = "a glob is empty, too long, or holds a % that is not %n";
            return -EINVAL;
        }
        if (!right->may_be(glob)) {
            *ret_what =
                "no such field of the view (keys, attributes, attributes.NAME, timeline, or "
                "a member of 'customer show' or 'screen')";
            return -EINVAL;
        }
        if (ret->n == ACCESS_GLOBS_MAX) {
            *ret_what = "too many globs";
            return -EINVAL;
        }
        int r = globs_add(ret, glob);
        if (r != 0) {
            return r;
        }
    }
    return 0;
}

static int parse_number(const char *value, int64_t *ret, const char **ret_what) {
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (*value < '0' || *value > '9' || *end != '\0' || errno != 0 || number < 1 ||
        number > ACCESS_QUOTA_MAX) {
        *ret_what = "expected a number of events a second";
        return -EINVAL;
    }
    *ret = number;
    return 0;
}

// The token is cut up.
static int parse_right(char *token, struct role *role, bool *seen, const char **ret_what) {
    char *equals = strchr(token, '=');
    size_t size = equals != NULL ? (size_t)(equals - token) : strlen(token);
    size_t i = 0;
    while (i < N_RIGHTS &&
           (strlen(rights[i].name) != size || strncmp(rights[i].name, token, size) != 0)) {
        i++;
    }
    *ret_what = i == N_RIGHTS ? "no such right" : seen[i] ? "it stands twice" : NULL;
    if (*ret_what != NULL) {
        return -EINVAL;
    }
    seen[i] = true;
    const struct right *right = &rights[i];
    if ((right->kind == RIGHT_FLAG) != (equals == NULL)) {
        *ret_what = equals == NULL ? "it needs a value: RIGHT=VALUE" : "it takes no value";
        return -EINVAL;
    }
    void *member = (char *)role + right->offset;
    if (right->kind == RIGHT_GLOBS) {
        return parse_globs(right, equals + 1, member, ret_what);
    }
    if (right->kind == RIGHT_NUMBER) {
        return parse_number(equals + 1, member, ret_what);
    }
    *(bool *)member = true;
    return 0;
}

// ---- one row

static void role_clear(struct role *role) {
    for (size_t i = 0; i < N_RIGHTS; i++) {
        if (rights[i].kind == RIGHT_GLOBS) {
            globs_clear((struct globs *)(void *)((char *)role + rights[i].offset));
        }
    }
}

static int refuse(char *why, size_t why_size, const char *token, const char *what) {
    snprintf(why, why_size, "--role: '%.64s': %s", token, what);
    return -EINVAL;
}

static int parse_row(const char *text, struct role *ret, char *why, size_t why_size) {
    static const char blanks[] = " \t";
    _cleanup_free_ char *copy = strdup(text);
    bool seen[N_RIGHTS] = {0};
    char *rest = copy;
    if (copy == NULL) {
        return -ENOMEM;
    }
    for (char *token = strsep(&rest, blanks); token != NULL; token = strsep(&rest, blanks)) {
        const char *what = NULL;
        if (*token == '\0') {
            continue;
        }
        if (ret->name[0] == '\0') {
            if (!certificate_name_ok(token)) {
                return refuse(why, why_size, token,
                              "a role begins with its name, of A-Z a-z 0-9 "
                              ". _ -");
            }
            snprintf(ret->name, sizeof(ret->name), "%s", token);
            continue;
        }
        _cleanup_free_ char *said = strdup(token);
        int r = said == NULL ? -ENOMEM : parse_right(token, ret, seen, &what);
        if (r != 0) {
            return r == -EINVAL ? refuse(why, why_size, said, what) : r;
        }
    }
    return ret->name[0] != '\0' ? 0 : refuse(why, why_size, text, "it is empty");
}

int roles_parse(const struct option_list *list, struct roles *ret, char *why, size_t why_size) {
    struct roles roles = {.rows = calloc(list->n_values + N_BUILT_IN, sizeof(*roles.rows))};
    int r = roles.rows == NULL ? -ENOMEM : 0;
    if (r == 0 && list->n_values > ACCESS_ROLES_MAX) {
        snprintf(why, why_size, "--role: more than %d roles", ACCESS_ROLES_MAX);
        r = -EINVAL;
    }
    for (size_t i = 0; r == 0 && i < list->n_values + N_BUILT_IN; i++) {
        bool own = i < list->n_values;
        struct role *role = &roles.rows[roles.n];
        r = parse_row(own ? list->values[i] : built_in[i - list->n_values], role, why, why_size);
        bool again = r == 0 && roles_find(&roles, role->name) != NULL;
        if (again && own) {
            r = refuse(why, why_size, role->name, "the role stands twice");
        }
        if (r != 0 || again) { // an operator's role stands for the built-in one of its name
            role_clear(role);
            *role = (struct role){0};
        } else {
            roles.n++;
        }
    }
    if (r != 0) {
        roles_clear(&roles);
        return r;
    }
    *ret = roles;
    return 0;
}

void roles_clear(struct roles *roles) {
    for (size_t i = 0; i < roles->n; i++) {
        role_clear(&roles->rows[i]);
    }
    free(roles->rows);
    *roles = (struct roles){0};
}

const struct role *roles_find(const struct roles *roles, const char *name) {
    for (size_t i = 0; i < roles->n; i++) {
        if (strcmp(roles->rows[i].name, name) == 0) {
            return &roles->rows[i];
        }
    }
    return NULL;
}

int role_grant(const struct role *role, const char *name, struct grant *ret) {
    snprintf(ret->name, sizeof(ret->name), "%s", name);
    snprintf(ret->role, sizeof(ret->role), "%s", role->name);
    ret->quota = role->quota;
    ret->merge = role->merge;
    ret->watch = role->watch;
    ret->admin = role->admin;
    int r = globs_for(&role->publish, name, &ret->publish);
    r = r != 0 ? r : globs_for(&role->source, name, &ret->source);
    r = r != 0 ? r : globs_for(&role->subscribe, name, &ret->subscribe);
    r = r != 0 ? r : globs_for(&role->receive, name, &ret->receive);
    return r != 0 ? r : globs_for(&role->read, name, &ret->read);
}

void grant_clear(struct grant *grant) {
    globs_clear(&grant->publish);
    globs_clear(&grant->source);
    globs_clear(&grant->subscribe);
    globs_clear(&grant->receive);
    globs_clear(&grant->read);
}

// SPDX-License-Identifier: Apache-2.0
// Rows of text become a table; every look-up compares all keys, so that the time it takes says
// nothing. Questions are bounded by a bucket a key, which a second fills.
#include "connectors/web/keys.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/dialect/http.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/limits.h"

enum { READ_MAX = 64 };

struct role {
    char *name;
    char **read;
    size_t n_read;
    bool contact;
};

struct key {
    char *text;
    size_t role;
    double questions; // it may ask now
    int64_t filled_us;
};

struct rows {
    struct role *roles; // the first is that of keys without one
    size_t n_roles;
    struct key *keys; // the last is everybody, where there are no keys
    size_t n_keys;
    bool open; // no write key is asked for
    double a_second;
};

struct web_keys {
    pthread_mutex_t mutex;
    struct rows rows;
};

// ---- rows

static void rows_clear(struct rows *rows) {
    for (size_t i = 0; i < rows->n_roles; i++) {
        for (size_t k = 0; k < rows->roles[i].n_read; k++) {
            free(rows->roles[i].read[k]);
        }
        free(rows->roles[i].read);
        free(rows->roles[i].name);
    }
    for (size_t i = 0; i < rows->n_keys; i++) {
        free(rows->keys[i].text);
    }
    free(rows->roles);
    free(rows->keys);
    *rows = (struct rows){0};
}

static int add_read(struct role *role, const char *globs) {
    while (*globs != '\0') {
        size_t size = strcspn(globs, ",");
        if (size == 0 || size > NAME_BYTES_MAX || role->n_read == READ_MAX) {
            return -EINVAL;
        }
        char **grown = reallocarray(role->read, role->n_read + 1, sizeof(*grown));
        if (grown == NULL) {
            return -ENOMEM;
        }
        role->read = grown;
        grown[role->n_read] = strndup(globs, size);
        if (grown[role->n_read++] == NULL) {
            return -ENOMEM;
        }
        globs += size + (globs[size] == ',');
    }
    return 0;
}

static int add_right(struct role *role, const char *word) {
    static const char read[] = "read=";
    if (strcmp(word, "contact") == 0) {
        role->contact = true;
        return 0;
    }
    return strncmp(word, read, strlen(read)) == 0 ? add_read(role, word + strlen(read)) : -EINVAL;
}

// "NAME [read=GLOBS] [contact]"
static int parse_role(const char *text, struct role *ret) {
    _cleanup_free_ char *words = strdup(text);
    char *place;
    char *name = words == NULL ? NULL : strtok_r(words, " \t", &place);
    if (name == NULL) {
        return words == NULL ? -ENOMEM : -EINVAL;
    }
    ret->name = strdup(name);
    int r = ret->name == NULL ? -ENOMEM : 0;
    for (char *word; r == 0 && (word = strtok_r(NULL, " \t", &place)) != NULL;) {
        r = add_right(ret, word);
    }
    return r;
}

static int find_role(const struct rows *rows, const char *name, size_t *ret) {
    for (size_t i = 0; i < rows->n_roles; i++) {
        if (strcmp(rows->roles[i].name, name) == 0) {
            *ret = i;
            return 0;
        }
    }
    return -ENOENT;
}

static int fill_roles(struct rows *rows, const struct option_list *roles, char *error,
                      size_t error_size) {
    size_t known;
    rows->roles = calloc(roles->n_values + 1, sizeof(*rows->roles));
    if (rows->roles == NULL) {
        return -ENOMEM;
    }
    rows->n_roles = 1;
    rows->roles[0].name = strdup("");
    int r = rows->roles[0].name == NULL ? -ENOMEM : 0;
    r = r != 0 ? r : add_read(&rows->roles[0], "greeting,tier,offers");
    for (size_t i = 0; r == 0 && i < roles->n_values; i++) {
        struct role *role = &rows->roles[rows->n_roles];
        r = parse_role(roles->values[i], role);
        if (r == 0 && find_role(rows, role->name, &known) == 0) {
            r = -EINVAL; // twice
        }
        rows->n_roles++;
        if (r == -EINVAL) {
            snprintf(error, error_size, "role: expected 'NAME [read=GLOBS] [contact]', each once");
        }
    }
    return r;
}

// "KEY [ROLE]"; what is wrong is told by the row's number, a key is secret.
static int add_key(struct rows *rows, const char *text, size_t number, char *error,
                   size_t error_size) {
    struct key *key = &rows->keys[rows->n_keys];
    size_t size = strcspn(text, " \t");
    const char *role = text + size + strspn(text + size, " \t");
    key->text = strndup(text, size);
    if (key->text == NULL) {
        return -ENOMEM;
    }
    rows->n_keys++;
    if (size == 0 || find_role(rows, role, &key->role) != 0) {
        snprintf(error, error_size, "write-key %zu: expected 'KEY' or 'KEY ROLE' with a --role%s%s",
                 number, size == 0 ? "" : "; there is none called ", size == 0 ? "" : role);
        return -EINVAL;
    }
    return 0;
}

static int fill(struct rows *rows, const struct option_list *write_keys,
                const struct option_list *roles, char *error, size_t error_size) {
    int r = fill_roles(rows, roles, error, error_size);
    rows->keys = calloc(write_keys->n_values + 1, sizeof(*rows->keys));
    r = r != 0 ? r : rows->keys == NULL ? -ENOMEM : 0;
    for (size_t i = 0; r == 0 && i < write_keys->n_values; i++) {
        r = add_key(rows, write_keys->values[i], i + 1, error, error_size);
    }
    if (r == 0 && write_keys->n_values == 0) {
        rows->open = true;
        rows->keys[0].text = strdup("");
        rows->n_keys = 1;
        r = rows->keys[0].text == NULL ? -ENOMEM : 0;
    }
    return r;
}

int web_keys_new(const struct option_list *write_keys, const struct option_list *roles,
                 int64_t questions_a_second, struct web_keys **ret, char *error,
                 size_t error_size) {
    struct web_keys *keys = calloc(1, sizeof(*keys));
    if (keys == NULL) {
        return -ENOMEM;
    }
    pthread_mutex_init(&keys->mutex, NULL);
    keys->rows.a_second = (double)questions_a_second;
    int r = fill(&keys->rows, write_keys, roles, error, error_size);
    if (r != 0) {
        web_keys_free(keys);
        return r;
    }
    *ret = keys;
    return 0;
}

struct web_keys *web_keys_free(struct web_keys *keys) {
    if (keys != NULL) {
        rows_clear(&keys->rows);
        pthread_mutex_destroy(&keys->mutex);
        free(keys);
    }
    return NULL;
}

void web_keys_swap(struct web_keys *keys, struct web_keys *fresh) {
    pthread_mutex_lock(&keys->mutex);
    struct rows old = keys->rows;
    keys->rows = fresh->rows;
    fresh->rows = old;
    pthread_mutex_unlock(&keys->mutex);
}

// ---- judging

static struct key *find_key(struct rows *rows, const char *text) {
    struct key *found = rows->open ? &rows->keys[0] : NULL;
    for (size_t i = 0; i < rows->n_keys; i++) {
        if (http_secret_equal(rows->keys[i].text, text) && !rows->open) {
            found = &rows->keys[i];
        }
    }
    return found;
}

static bool take_question(const struct rows *rows, struct key *key, int64_t now_us) {
    double filled = (double)(now_us - key->filled_us) / CLOCK_US_PER_S * rows->a_second;
    key->questions += filled > 0 ? filled : 0;
    key->questions = key->questions > rows->a_second ? rows->a_second : key->questions;
    key->filled_us = now_us;
    if (key->questions < 1) {
        return false;
    }
    key->questions -= 1;
    return true;
}

static enum web_verdict judge(struct rows *rows, struct key *key, enum web_purpose purpose,
                              int64_t now_us) {
    if (key == NULL) {
        return WEB_UNKNOWN_KEY;
    }
    if (purpose == WEB_PUBLISH) {
        return WEB_ADMITTED;
    }
    if (GUARD(web_contact_right) && purpose == WEB_CONTACT && !rows->open &&
        !rows->roles[key->role].contact) {
        return WEB_NOT_ALLOWED;
    }
    return take_question(rows, key, now_us) || !GUARD(web_question_rate) ? WEB_ADMITTED
                                                                         : WEB_TOO_OFTEN;
}

enum web_verdict web_keys_judge(struct web_keys *keys, const char *key, enum web_purpose purpose,
                                int64_t now_us) {
    pthread_mutex_lock(&keys->mutex);
    enum web_verdict verdict = judge(&keys->rows, find_key(&keys->rows, key), purpose, now_us);
    pthread_mutex_unlock(&keys->mutex);
    return verdict;
}

static bool may_read(const struct rows *rows, const struct key *key, const char *field) {
    if (key == NULL || rows->open || !GUARD(web_read_right)) {
        return key != NULL;
    }
    const struct role *role = &rows->roles[key->role];
    for (size_t i = 0; i < role->n_read; i++) {
        if (fnmatch(role->read[i], field, 0) == 0) {
            return true;
        }
    }
    return false;
}

bool web_keys_may_read(struct web_keys *keys, const char *key, const char *field) {
    pthread_mutex_lock(&keys->mutex);
    bool may = may_read(&keys->rows, find_key(&keys->rows, key), field);
    pthread_mutex_unlock(&keys->mutex);
    return may;
}

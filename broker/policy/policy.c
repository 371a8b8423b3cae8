// SPDX-License-Identifier: Apache-2.0
// A policy's life: the built-in one, a file laid over it, and what rules ask of it.
#include "broker/policy/policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "broker/policy/policy_json.h"
#include "broker/policy/policy_read.h"
#include "schemas/base/cleanup.h"
#include "schemas/envelope.h"

extern const char policy_text_built_in[]; // policy.yaml
extern const size_t policy_text_built_in_size;

// ---- freeing. The calls nest as the tables do, POLICY_DEPTH at most.

static void clear_entry(const struct policy_row *row, char *entry) {
    if (row->type == POLICY_NAMES) {
        free(*(char **)(void *)entry);
    } else if (row->type == POLICY_TEXTS) {
        struct policy_text *text = (struct policy_text *)(void *)entry;
        free(text->language);
        free(text->text);
    } else {
        policy_clear(row->rows, entry);
    }
}

static void clear_entries(const struct policy_row *row, void *object) {
    char **member = policy_member(object, row->offset);
    unsigned *n = policy_member(object, row->count_offset);
    size_t bytes = row->type == POLICY_NAMES   ? sizeof(char *)
                   : row->type == POLICY_TEXTS ? sizeof(struct policy_text)
                                               : row->rows->bytes;
    for (unsigned i = 0; i < *n; i++) {
        clear_entry(row, *member + i * bytes);
    }
    free(*member);
    *member = NULL;
    *n = 0;
}

void policy_clear_row(const struct policy_row *row, void *object) {
    void **member = policy_member(object, row->offset);
    switch (row->type) {
    case POLICY_TEXT:
    case POLICY_TEXT_OR_NOT:
    case POLICY_REAL_OR_NOT:
        free(*member);
        *member = NULL;
        break;
    case POLICY_NAMES:
    case POLICY_TEXTS:
    case POLICY_LIST:
        clear_entries(row, object);
        break;
    case POLICY_SECTION:
        policy_clear(row->rows, member);
        break;
    case POLICY_NUMBER:
    case POLICY_SIGNED:
    case POLICY_REAL:
    case POLICY_FLAG:
    case POLICY_MONEY:
    case POLICY_DURATION:
    case POLICY_CLOCK:
    case POLICY_TIME:
        break;
    }
}

void policy_clear(const struct policy_table *table, void *object) {
    for (size_t i = 0; i < table->n_rows; i++) {
        policy_clear_row(&table->rows[i], object);
    }
}

struct policy *policy_free(struct policy *policy) {
    if (policy != NULL) {
        policy_clear(&policy_table, policy);
        free(policy->printed);
        free(policy);
    }
    return NULL;
}

// ---- reading

static int check(const struct policy *policy, const char *name, char **ret_error) {
    struct policy_fault fault;
    int r = policy_check(policy, &fault);
    if (r != 0 && asprintf(ret_error, "%s: %s: %s", name, fault.path, fault.text) < 0) {
        *ret_error = NULL;
        return -ENOMEM;
    }
    return r;
}

int policy_parse(const char *text, size_t size, const char *name, struct policy **ret,
                 char **ret_error) {
    *ret_error = NULL;
    struct policy *policy = calloc(1, sizeof(*policy));
    if (policy == NULL) {
        return -ENOMEM;
    }
    int r = policy_read(policy_text_built_in, policy_text_built_in_size, "built-in policy.yaml",
                        policy, ret_error);
    r = r != 0 || text == NULL ? r : policy_read(text, size, name, policy, ret_error);
    r = r != 0 ? r : check(policy, name, ret_error);
    policy->printed = r == 0 ? policy_print(policy) : NULL;
    r = r == 0 && policy->printed == NULL ? -ENOMEM : r;
    if (r != 0) {
        policy_free(policy);
        return r;
    }
    *ret = policy;
    return 0;
}

static int complain(const char *path, const char *what, char **ret_error) {
    if (asprintf(ret_error, "%s: %s", path, what) < 0) {
        *ret_error = NULL;
        return -ENOMEM;
    }
    return -EINVAL;
}

// One byte more than a policy may have, so that the reader sees that there is more.
static int read_file(const char *path, char **ret, size_t *ret_size, char **ret_error) {
    FILE *file = fopen(path, "re");
    struct stat status;
    if (file == NULL) {
        return complain(path, strerror(errno), ret_error);
    }
    _cleanup_free_ char *text = malloc(POLICY_BYTES_MAX + 1);
    if (text == NULL || fstat(fileno(file), &status) != 0 || !S_ISREG(status.st_mode)) {
        fclose(file);
        return text == NULL ? -ENOMEM : complain(path, "not a file", ret_error);
    }
    size_t size = fread(text, 1, POLICY_BYTES_MAX + 1, file);
    int failed = ferror(file);
    fclose(file);
    if (failed != 0) {
        return complain(path, "cannot be read", ret_error);
    }
    *ret = STEAL(text);
    *ret_size = size;
    return 0;
}

int policy_load(const char *path, struct policy **ret, char **ret_error) {
    _cleanup_free_ char *text = NULL;
    size_t size = 0;
    *ret_error = NULL;
    int r = path == NULL ? 0 : read_file(path, &text, &size, ret_error);
    return r != 0 ? r : policy_parse(text, size, path == NULL ? "" : path, ret, ret_error);
}

// ---- looking things up

const struct policy_channel *policy_channel(const struct policy *policy, const char *name) {
    for (unsigned i = 0; i < policy->n_channels; i++) {
        if (strcmp(policy->channels[i].name, name) == 0) {
            return &policy->channels[i];
        }
    }
    return NULL;
}

bool policy_holds(char *const *list, unsigned n, const char *name) {
    for (unsigned i = 0; i < n; i++) {
        if (envelope_glob(list[i], name)) {
            return true;
        }
    }
    return n == 0;
}

// How well a text's language fits the one that is asked for.
static int fit(const char *language, const char *asked) {
    enum { FIT_NOT, FIT_ANY, FIT_MAIN, FIT_EXACT };
    size_t main_size = strcspn(asked, "-_");
    if (*language == '\0') {
        return FIT_ANY;
    }
    if (strcasecmp(language, asked) == 0) {
        return FIT_EXACT;
    }
    return strlen(language) == main_size && strncasecmp(language, asked, main_size) == 0 ? FIT_MAIN
                                                                                         : FIT_NOT;
}

const char *policy_text(const struct policy_text *texts, unsigned n, const char *language) {
    const char *best = n > 0 ? texts[0].text : NULL;
    int best_fit = 0;
    for (unsigned i = 0; i < n; i++) {
        int one = fit(texts[i].language, language != NULL ? language : "");
        if (one > best_fit) {
            best_fit = one;
            best = texts[i].text;
        }
    }
    return best;
}

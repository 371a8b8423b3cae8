// SPDX-License-Identifier: Apache-2.0
// See account.h. A line: offset, kind, NAME-NUMBER, sequence, parted by tabs.
#include "account.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES_MAX = 256, ID_BYTES = 96 };

static const struct {
    const char *text;
    enum account_kind kind;
} kinds[] = {
    {"ok", ACCOUNT_LOGGED},     {"duplicate", ACCOUNT_LOGGED}, {"quarantined", ACCOUNT_QUARANTINED},
    {"joined", ACCOUNT_JOINED}, {"erased", ACCOUNT_ERASED},    {"received", ACCOUNT_OTHER},
};

static void fail(const char *what, const char *text) {
    fprintf(stderr, "account: %s: %s\n", what, text);
    exit(2);
}

static unsigned name_of(struct account *account, const char *name, size_t size) {
    for (unsigned i = 0; i < account->n_names; i++) {
        if (strlen(account->names[i]) == size && memcmp(account->names[i], name, size) == 0) {
            return i;
        }
    }
    if (account->n_names == ACCOUNT_NAMES_MAX) {
        fail("too many names", name);
    }
    account->names[account->n_names] = strndup(name, size);
    return account->n_names++;
}

static enum account_kind kind_of(const char *text) {
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kinds[i].text, text) == 0) {
            return kinds[i].kind;
        }
    }
    fail("a broker under test answered", text);
    return ACCOUNT_OTHER;
}

static void add(struct account *account, const char *text) {
    char kind[32], id[ID_BYTES];
    struct account_line line = {.offset = 0};
    if (sscanf(text, "%" SCNu64 "\t%31[^\t]\t%95[^\t]\t%" SCNu64, &line.offset, kind, id,
               &line.sequence) != 4) {
        fail("not a line of it", text);
    }
    const char *dash = strrchr(id, '-');
    line.kind = kind_of(kind);
    if (line.kind == ACCOUNT_OTHER) {
        return;
    }
    if (dash == NULL) {
        fail("not an id", text);
    }
    line.name = name_of(account, id, (size_t)(dash - id));
    line.number = strtoull(dash + 1, NULL, 10);
    if (line.number >= ACCOUNT_NUMBERS_MAX) {
        fail("too many numbers", text);
    }
    account->number_max = line.number > account->number_max ? line.number : account->number_max;
    if ((account->n_lines & (account->n_lines - 1)) == 0) {
        size_t room = account->n_lines == 0 ? 1 : 2 * account->n_lines;
        account->lines = reallocarray(account->lines, room, sizeof(*account->lines));
        if (account->lines == NULL) {
            abort();
        }
    }
    account->lines[account->n_lines++] = line;
}

static int by_offset(const void *a, const void *b) {
    uint64_t one = ((const struct account_line *)a)->offset;
    uint64_t other = ((const struct account_line *)b)->offset;
    return (one > other) - (one < other);
}

struct account *account_read(char *const *files, size_t n_files) {
    struct account *account = calloc(1, sizeof(*account));
    if (account == NULL) {
        abort();
    }
    for (size_t i = 0; i < n_files; i++) {
        char line[LINE_BYTES_MAX];
        FILE *file = fopen(files[i], "r");
        if (file == NULL) {
            fail("cannot be read", files[i]);
        }
        while (fgets(line, sizeof(line), file) != NULL) {
            add(account, line);
        }
        fclose(file);
    }
    if (account->n_lines > 0) {
        qsort(account->lines, account->n_lines, sizeof(*account->lines), by_offset);
    }
    return account;
}

struct account *account_free(struct account *account) {
    if (account != NULL) {
        for (unsigned i = 0; i < account->n_names; i++) {
            free(account->names[i]);
        }
        free(account->lines);
        free(account);
    }
    return NULL;
}

bool account_parse_id(const struct account *account, const char *id, unsigned *ret_name,
                      uint64_t *ret_number) {
    const char *dash = strrchr(id, '-');
    for (unsigned i = 0; dash != NULL && i < account->n_names; i++) {
        if (strlen(account->names[i]) == (size_t)(dash - id) &&
            strncmp(account->names[i], id, (size_t)(dash - id)) == 0) {
            *ret_name = i;
            *ret_number = strtoull(dash + 1, NULL, 10);
            return *ret_number < ACCOUNT_NUMBERS_MAX;
        }
    }
    return false;
}

// SPDX-License-Identifier: Apache-2.0
// What happens to a configuration after it was read: it is reloaded, compared row by row, and
// freed. Knows the members by their rows only.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/base/logging.h"
#include "schemas/base/options.h"

static const size_t member_sizes[] = {
    [OPTION_BOOL] = sizeof(bool),     [OPTION_INTEGER] = sizeof(int64_t),
    [OPTION_BYTES] = sizeof(int64_t), [OPTION_DURATION] = sizeof(int64_t),
    [OPTION_STRING] = sizeof(char *), [OPTION_LIST] = sizeof(struct option_list),
};

static bool equal_text(const char *a, const char *b) {
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool equal_lists(const struct option_list *a, const struct option_list *b) {
    if (a->n_values != b->n_values) {
        return false;
    }
    for (size_t i = 0; i < a->n_values; i++) {
        if (!equal_text(a->values[i], b->values[i])) {
            return false;
        }
    }
    return true;
}

static bool equal_members(const struct option_row *row, const void *a, const void *b) {
    if (row->type == OPTION_STRING) {
        char *texts[2];
        memcpy(&texts[0], a, sizeof(texts[0]));
        memcpy(&texts[1], b, sizeof(texts[1]));
        return equal_text(texts[0], texts[1]);
    }
    if (row->type == OPTION_LIST) {
        struct option_list lists[2];
        memcpy(&lists[0], a, sizeof(lists[0]));
        memcpy(&lists[1], b, sizeof(lists[1]));
        return equal_lists(&lists[0], &lists[1]);
    }
    return memcmp(a, b, member_sizes[row->type]) == 0;
}

static void swap_members(const struct option_row *row, char *a, char *b) {
    unsigned char kept[sizeof(struct option_list)];
    memcpy(kept, a, member_sizes[row->type]);
    memcpy(a, b, member_sizes[row->type]);
    memcpy(b, kept, member_sizes[row->type]);
}

int options_reload(const struct option_page *page, void *conf, int argc, char **argv) {
    size_t size = 1;
    for (size_t i = 0; i < page->n_rows; i++) {
        size_t end = page->rows[i].offset + member_sizes[page->rows[i].type];
        size = end > size ? end : size;
    }
    char *fresh = calloc(1, size);
    int ignored;
    if (fresh == NULL || options_parse(page, fresh, argc, argv, &ignored) != 0) {
        free(fresh);
        return -EINVAL;
    }
    for (size_t i = 0; i < page->n_rows; i++) {
        const struct option_row *row = &page->rows[i];
        char *member = (char *)conf + row->offset;
        if (equal_members(row, member, fresh + row->offset)) {
            continue;
        }
        if (row->reloadable) {
            swap_members(row, member, fresh + row->offset);
            logging_info("option=%s reloaded=true", row->name);
        } else {
            logging_warning("option=%s reloaded=false reason=needs-a-restart", row->name);
        }
    }
    options_clear(page, fresh);
    free(fresh);
    return 0;
}

static void list_free(const struct option_list *list) {
    for (size_t i = 0; i < list->n_values; i++) {
        free(list->values[i]);
    }
    free(list->values);
}

void options_clear(const struct option_page *page, void *conf) {
    for (size_t i = 0; i < page->n_rows; i++) {
        const struct option_row *row = &page->rows[i];
        char *member = (char *)conf + row->offset;
        if (row->type == OPTION_STRING) {
            char *text;
            memcpy(&text, member, sizeof(text));
            free(text);
        } else if (row->type == OPTION_LIST) {
            struct option_list list;
            memcpy(&list, member, sizeof(list));
            list_free(&list);
        }
        memset(member, 0, member_sizes[row->type]);
    }
}

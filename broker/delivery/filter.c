// SPDX-License-Identifier: Apache-2.0
// Filters on a block's dictionary. Never looks at what is sealed.
#include "broker/delivery/filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/envelope.h"

enum { FILTER_TYPE = 1, FILTER_CHANNEL = 2 };

static int list_copy(char *const *list, size_t n, char ***ret, size_t *ret_n) {
    *ret = calloc(n + 1, sizeof **ret);
    if (!*ret)
        return -ENOMEM;
    for (*ret_n = 0; *ret_n < n; (*ret_n)++) {
        (*ret)[*ret_n] = strdup(list[*ret_n]);
        if (!(*ret)[*ret_n])
            return -ENOMEM;
    }
    return 0;
}

static void list_clear(char **list, size_t n) {
    for (size_t i = 0; i < n; i++)
        free(list[i]);
    free(list);
}

int filter_copy(char *const *types, size_t n_types, char *const *channels, size_t n_channels,
                uint64_t customer, struct filter *ret) {
    struct filter filter = {.customer = customer};
    int r = list_copy(types, n_types, &filter.types, &filter.n_types);
    if (r == 0)
        r = list_copy(channels, n_channels, &filter.channels, &filter.n_channels);
    if (r < 0)
        filter_clear(&filter);
    else
        *ret = filter;
    return r;
}

void filter_clear(struct filter *filter) {
    list_clear(filter->types, filter->n_types);
    list_clear(filter->channels, filter->n_channels);
    *filter = (struct filter){0};
}

bool filter_is_empty(const struct filter *filter) {
    return filter->n_types == 0 && filter->n_channels == 0 && filter->customer == 0;
}

static bool list_within(char *const *list, size_t n, char *const *other, size_t n_other) {
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;
        while (k < n_other && strcmp(list[i], other[k]) != 0)
            k++;
        if (k == n_other)
            return false;
    }
    return true;
}

bool filter_equal(const struct filter *one, const struct filter *other) {
    return one->customer == other->customer &&
           list_within(one->types, one->n_types, other->types, other->n_types) &&
           list_within(other->types, other->n_types, one->types, one->n_types) &&
           list_within(one->channels, one->n_channels, other->channels, other->n_channels) &&
           list_within(other->channels, other->n_channels, one->channels, one->n_channels);
}

static uint8_t name_judge(const struct filter *filter, const char *name) {
    uint8_t passes =
        (uint8_t)((filter->n_types ? 0 : FILTER_TYPE) | (filter->n_channels ? 0 : FILTER_CHANNEL));
    for (size_t i = 0; i < filter->n_types && !(passes & FILTER_TYPE); i++)
        if (envelope_glob(filter->types[i], name))
            passes |= FILTER_TYPE;
    for (size_t i = 0; i < filter->n_channels && !(passes & FILTER_CHANNEL); i++)
        if (strcmp(filter->channels[i], name) == 0)
            passes |= FILTER_CHANNEL;
    return passes;
}

int filter_judge(const struct filter *filter, const struct block_head *block,
                 struct filter_names *names) {
    if (names->block == block->first)
        return 0;
    if (names->capacity < block->n_names) {
        uint8_t *passes = realloc(names->passes, block->n_names);
        if (!passes)
            return -ENOMEM;
        names->passes = passes;
        names->capacity = block->n_names;
    }
    for (uint32_t i = 0; i < block->n_names; i++)
        names->passes[i] = name_judge(filter, block_name(block, (uint16_t)i));
    names->block = block->first;
    return 0;
}

bool filter_takes(const struct filter *filter, const char *type, uint64_t customer) {
    return (!filter->customer || filter->customer == customer) &&
           (name_judge(filter, type) & FILTER_TYPE) && (name_judge(filter, "") & FILTER_CHANNEL);
}

void filter_names_clear(struct filter_names *names) {
    free(names->passes);
    *names = (struct filter_names){0};
}

bool filter_passes_names(const struct filter_names *names, const struct block_entry *entry) {
    if (entry->type >= names->capacity || entry->channel >= names->capacity)
        return false; // a damaged index passes no filter
    return (names->passes[entry->type] & FILTER_TYPE) &&
           (names->passes[entry->channel] & FILTER_CHANNEL);
}

bool filter_passes(const struct filter *filter, const struct filter_names *names,
                   const struct block_entry *entry) {
    // Of a merged customer's events the lane is the customer's, whichever leaf's they are.
    if (filter->customer && entry->customer != filter->customer && entry->lane != filter->customer)
        return false;
    return filter_passes_names(names, entry);
}

// SPDX-License-Identifier: Apache-2.0
// What a subscription wants: type globs, channels, one customer. Globs meet only the few names in a
// block's dictionary, once a block; an event is then two look-ups and a comparison.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/stores/block.h"

struct filter {
    char **types, **channels; // owned
    size_t n_types, n_channels;
    uint64_t customer; // 0: all
};

// The verdicts on one block's names.
struct filter_names {
    uint8_t *passes; // FILTER_* bits by name index; owned
    size_t capacity;
    uint64_t block; // first sequence of the block judged; 0 none
};

int filter_copy(char *const *types, size_t n_types, char *const *channels, size_t n_channels,
                uint64_t customer, struct filter *ret);
void filter_clear(struct filter *filter);
bool filter_is_empty(const struct filter *filter); // everything passes
// The same patterns, in any order.
bool filter_equal(const struct filter *one, const struct filter *other);
// 0 or -ENOMEM.
int filter_judge(const struct filter *filter, const struct block_head *block,
                 struct filter_names *names);
// Whether an event of this type on no channel, of this customer, would pass.
bool filter_takes(const struct filter *filter, const char *type, uint64_t customer);
void filter_names_clear(struct filter_names *names);
// entry is of the block judged last.
bool filter_passes(const struct filter *filter, const struct filter_names *names,
                   const struct block_entry *entry);
// The same but for the customer: of events that its index names.
bool filter_passes_names(const struct filter_names *names, const struct block_entry *entry);

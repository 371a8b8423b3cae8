// SPDX-License-Identifier: Apache-2.0
// A skip list a table (Pugh, "Skip Lists: A Probabilistic Alternative to Balanced Trees", CACM 33,
// 1990), all of it in one arena: ordered for scans and for the store's pages, and never rearranged,
// so that a scan goes on while its caller writes.
#include "broker/stores/pending.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "broker/stores/store.h"
#include "schemas/base/arena.h"
#include "schemas/base/scheduling.h"

enum {
    LEVELS_MAX = 16, // a quarter of the rows goes up a level: enough for 4^16
    SEEN_BITS = 1 << 18,
};

struct node {
    struct pending_row row; // first, so that a row leads to its node
    uint64_t head;          // the key's first eight bytes as a number: most comparisons end here
    size_t room;            // for the value, where it lies
    void *value;
    struct node *next[];
};

struct list {
    struct node *first[LEVELS_MAX];
    struct node *path[LEVELS_MAX]; // to the row that was written last: the next is often behind it
};

// Hashes of the keys and prefixes that were added, as many as go into one.
enum { MARKS_MAX = 250 };
struct marks {
    struct marks *next;
    unsigned n;
    uint32_t hash[MARKS_MAX];
};

struct pending {
    struct arena *arena;
    struct marks *marks;
    size_t n_rows;
    atomic_uint owners;
    uint64_t chance; // of levels; the same after every reset
    // A bit a key and prefix, by a hash of it and its table: most of what is asked for is not here.
    uint8_t seen[SEEN_BITS / CHAR_BIT];
    unsigned n_tables;
    struct list lists[];
};

static const uint64_t GOLDEN = UINT64_C(0x9e3779b97f4a7c15); // 2^64 by the golden ratio

struct pending *pending_new(unsigned n_tables, size_t bytes_max) {
    struct pending *pending = calloc(1, sizeof(*pending) + n_tables * sizeof(pending->lists[0]));
    if (pending == NULL) {
        return NULL;
    }
    pending->n_tables = n_tables;
    pending->chance = GOLDEN;
    atomic_init(&pending->owners, 1);
    pending->arena = arena_new(bytes_max);
    return pending->arena == NULL ? pending_free(pending) : pending;
}

struct pending *pending_free(struct pending *pending) {
    if (pending != NULL) {
        arena_free(pending->arena);
        free(pending);
    }
    return NULL;
}

void pending_reset(struct pending *pending) {
    if (pending->n_rows == 0) {
        return; // nothing was ever put
    }
    memset(pending->lists, 0, pending->n_tables * sizeof(pending->lists[0]));
    memset(pending->seen, 0, sizeof(pending->seen));
    pending->marks = NULL;
    pending->n_rows = 0;
    pending->chance = GOLDEN;
    arena_reset(pending->arena);
}

size_t pending_bytes(const struct pending *pending) {
    return arena_used(pending->arena);
}

size_t pending_rows(const struct pending *pending) {
    return pending->n_rows;
}

// ---- finding

static uint64_t head_of(const void *key, size_t key_size) {
    uint8_t bytes[8] = {0};
    if (key_size > 0) {
        memcpy(bytes, key, key_size < sizeof(bytes) ? key_size : sizeof(bytes));
    }
    return store_from_be64(bytes);
}

static int compare(const struct node *node, uint64_t head, const void *key, size_t key_size) {
    if (node->head != head) {
        return node->head < head ? -1 : 1;
    }
    size_t size = node->row.key_size < key_size ? node->row.key_size : key_size;
    int order = size > 0 ? memcmp(node->row.key, key, size) : 0;
    return order != 0 ? order : (node->row.key_size > key_size) - (node->row.key_size < key_size);
}

// On each level the last node below the key, NULL: the list's beginning. Returns the one behind it
// on the lowest, the first that is not below. path: such nodes of a key that is not above this one.
static struct node *find(const struct list *list, struct node *const path[static LEVELS_MAX],
                         const void *key, size_t key_size,
                         struct node *ret_before[static LEVELS_MAX]) {
    uint64_t head = head_of(key, key_size);
    struct node *before = NULL;
    bool on_path = true;
    for (unsigned level = LEVELS_MAX; level-- > 0;) {
        before = on_path ? path[level] : before;
        struct node *next = before != NULL ? before->next[level] : list->first[level];
        while (next != NULL && compare(next, head, key, key_size) < 0) {
            before = next;
            next = before->next[level];
            on_path = false;
        }
        ret_before[level] = before;
    }
    return before != NULL ? before->next[0] : list->first[0];
}

static struct node *const BEGINNING[LEVELS_MAX];

// Where a search may begin: with the last path, or from the list's beginning.
static struct node *const *path_to(const struct list *list, const void *key, size_t key_size) {
    const struct node *last = list->path[0];
    bool is_behind = last != NULL && compare(last, head_of(key, key_size), key, key_size) < 0;
    return is_behind ? list->path : BEGINNING;
}

// A product of its words (Knuth, TAOCP 3, 6.4).
uint64_t pending_hash(unsigned table, const void *key, size_t key_size) {
    uint64_t hash = table + 1;
    const uint8_t *bytes = key;
    while (key_size > 0) {
        uint64_t word = 0;
        size_t n = key_size < sizeof(word) ? key_size : sizeof(word);
        memcpy(&word, bytes, n);
        hash = (hash ^ word) * GOLDEN;
        hash ^= hash >> 32;
        bytes += n;
        key_size -= n;
    }
    return hash * GOLDEN >> 32;
}

static uint32_t bit_of(uint64_t hash) {
    return (uint32_t)hash & (SEEN_BITS - 1);
}

static const struct list *list_of(const struct pending *pending, unsigned table) {
    assert(table < pending->n_tables);
    return &pending->lists[table];
}

const struct pending_row *pending_from(const struct pending *pending, unsigned table,
                                       const void *key, size_t key_size) {
    struct node *before[LEVELS_MAX];
    const struct node *node = find(list_of(pending, table), BEGINNING, key, key_size, before);
    return node != NULL ? &node->row : NULL;
}

bool pending_has_seen(const struct pending *pending, uint64_t hash) {
    uint32_t bit = bit_of(hash);
    return (pending->seen[bit / CHAR_BIT] & 1U << bit % CHAR_BIT) != 0;
}

const struct pending_row *pending_get(const struct pending *pending, unsigned table,
                                      const void *key, size_t key_size) {
    return pending_get_hashed(pending, pending_hash(table, key, key_size), table, key, key_size);
}

const struct pending_row *pending_get_hashed(const struct pending *pending, uint64_t hash,
                                             unsigned table, const void *key, size_t key_size) {
    if (!pending_has_seen(pending, hash)) {
        return NULL;
    }
    const struct pending_row *row = pending_from(pending, table, key, key_size);
    bool is_it = row != NULL && row->key_size == key_size &&
                 (key_size == 0 || memcmp(row->key, key, key_size) == 0);
    return is_it ? row : NULL;
}

static const struct node *last_of(const struct list *list) {
    const struct node *node = NULL;
    for (unsigned level = LEVELS_MAX; level-- > 0;) {
        const struct node *next = node != NULL ? node->next[level] : list->first[level];
        while (next != NULL) {
            node = next;
            next = node->next[level];
        }
    }
    return node;
}

const struct pending_row *pending_below(const struct pending *pending, unsigned table,
                                        const void *key, size_t key_size) {
    const struct list *list = list_of(pending, table);
    struct node *before[LEVELS_MAX];
    const struct node *node = NULL;
    if (key_size == 0) {
        node = last_of(list);
    } else {
        find(list, BEGINNING, key, key_size, before);
        node = before[0];
    }
    return node != NULL ? &node->row : NULL;
}

const struct pending_row *pending_next(const struct pending_row *row) {
    const struct node *next = ((const struct node *)(const void *)row)->next[0];
    return next != NULL ? &next->row : NULL;
}

// ---- writing

// Each level has a quarter of the one below. By a xorshift generator (Marsaglia, 2003): what the
// keys are has no part in it.
static unsigned draw_levels(struct pending *pending) {
    uint64_t chance = pending->chance;
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    pending->chance = chance;
    unsigned levels = 1;
    for (; levels < LEVELS_MAX && (chance & 3) == 0; chance >>= 2) {
        levels++;
    }
    return levels;
}

// Behind the nodes of the list's path, which leads to it then.
static struct node *add(struct pending *pending, struct list *list, const void *key,
                        size_t key_size) {
    unsigned levels = draw_levels(pending);
    struct node *node =
        arena_calloc(pending->arena, 1, sizeof(*node) + levels * sizeof(node->next[0]) + key_size);
    if (node == NULL) {
        return NULL;
    }
    void *copy = &node->next[levels];
    if (key_size > 0) {
        memcpy(copy, key, key_size);
    }
    node->row = (struct pending_row){.key = copy, .key_size = key_size};
    node->head = head_of(key, key_size);
    for (unsigned level = 0; level < levels; level++) {
        struct node *before = list->path[level];
        struct node **link = before != NULL ? &before->next[level] : &list->first[level];
        node->next[level] = *link;
        *link = node;
        list->path[level] = node;
    }
    return node;
}

static int mark(struct pending *pending, uint64_t hash) {
    struct marks *marks = pending->marks;
    if (marks == NULL || marks->n == MARKS_MAX) {
        marks = arena_alloc(pending->arena, sizeof(*marks));
        if (marks == NULL) {
            return -ENOMEM;
        }
        marks->n = 0;
        marks->next = pending->marks;
        pending->marks = marks;
    }
    marks->hash[marks->n++] = (uint32_t)hash;
    return 0;
}

static int note_hash(struct pending *pending, uint64_t hash) {
    uint32_t bit = bit_of(hash);
    pending->seen[bit / CHAR_BIT] |= (uint8_t)(1U << bit % CHAR_BIT);
    return mark(pending, hash);
}

static int note(struct pending *pending, unsigned table, const void *key, size_t key_size) {
    int r = note_hash(pending, pending_hash(table, key, key_size));
    return r == 0 && key_size > PENDING_PREFIX_BYTES
               ? note_hash(pending, pending_hash(table, key, PENDING_PREFIX_BYTES))
               : r;
}

static struct node *get_or_add(struct pending *pending, unsigned table, const void *key,
                               size_t key_size) {
    assert(table < pending->n_tables);
    struct list *list = &pending->lists[table];
    struct node *node = find(list, path_to(list, key, key_size), key, key_size, list->path);
    if (node != NULL && compare(node, head_of(key, key_size), key, key_size) == 0) {
        return node;
    }
    pending->n_rows++;
    node = add(pending, list, key, key_size);
    return node != NULL && note(pending, table, key, key_size) == 0 ? node : NULL;
}

int pending_put(struct pending *pending, unsigned table, const void *key, size_t key_size,
                const void *value, size_t size) {
    scheduling_yield_point(); // a tick puts its thousand customers at one go
    struct node *node = get_or_add(pending, table, key, key_size);
    if (node == NULL) {
        return -ENOMEM;
    }
    if (node->value == NULL || size > node->room) {
        size_t room = size > 0 ? size : 1;
        void *place = arena_alloc(pending->arena, room);
        if (place == NULL) {
            return -ENOMEM;
        }
        node->value = place;
        node->room = room;
    }
    if (size > 0) {
        memmove(node->value, value, size);
    }
    node->row.value = node->value;
    node->row.size = size;
    return 0;
}

int pending_delete(struct pending *pending, unsigned table, const void *key, size_t key_size) {
    struct node *node = get_or_add(pending, table, key, key_size);
    if (node == NULL) {
        return -ENOMEM;
    }
    node->row.value = NULL;
    node->row.size = 0;
    return 0;
}

// ---- for many, and of many

static uint64_t bit_in(uint64_t hash, size_t *ret_word) {
    *ret_word = hash / 64 % PENDING_FILTER_WORDS;
    return UINT64_C(1) << hash % 64;
}

void pending_add_to(const struct pending *pending, pending_filter filter) {
    for (const struct marks *marks = pending->marks; marks != NULL; marks = marks->next) {
        for (unsigned i = 0; i < marks->n; i++) {
            size_t at;
            uint64_t bit = bit_in(marks->hash[i], &at);
            uint64_t word = atomic_load_explicit(&filter[at], memory_order_relaxed);
            atomic_store_explicit(&filter[at], word | bit, memory_order_relaxed);
        }
    }
}

bool pending_may_have(const pending_filter filter, uint64_t hash) {
    size_t at;
    uint64_t bit = bit_in(hash, &at);
    return (atomic_load_explicit(&filter[at], memory_order_relaxed) & bit) != 0;
}

void pending_hold(struct pending *pending) {
    atomic_fetch_add_explicit(&pending->owners, 1, memory_order_relaxed);
}

bool pending_drop(struct pending *pending) {
    return atomic_fetch_sub_explicit(&pending->owners, 1, memory_order_acq_rel) == 1;
}

// ---- into a store

// Where one of them is, in a heap by key (Williams, "Heapsort", CACM 7, 1964): the first is the
// lowest, of those with one key the newest.
struct source {
    const struct node *node;
    uint64_t head; // the node's, which is far away
    unsigned age;  // 0: the newest
};

static int compare_nodes(const struct source *a, const struct source *b) {
    if (a->head != b->head) {
        return a->head < b->head ? -1 : 1;
    }
    return compare(a->node, b->head, b->node->row.key, b->node->row.key_size);
}

static bool is_before(const struct source *a, const struct source *b) {
    int order = compare_nodes(a, b);
    return order != 0 ? order < 0 : a->age < b->age;
}

// Sinks what is at `at` to its place.
static void sink(struct source *heap, unsigned n, unsigned at) {
    struct source sinking = heap[at];
    for (unsigned child = 2 * at + 1; child < n; child = 2 * at + 1) {
        child += child + 1 < n && is_before(&heap[child + 1], &heap[child]) ? 1 : 0;
        if (is_before(&sinking, &heap[child])) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = sinking;
}

static void set_node(struct source *source, const struct node *node) {
    source->node = node;
    source->head = node->head;
    __builtin_prefetch(node->next[0]);
}

// The first goes on to its next row; returns how many there are then.
static unsigned advance(struct source *heap, unsigned n) {
    const struct node *next = heap[0].node->next[0];
    if (next != NULL) {
        set_node(&heap[0], next);
    } else {
        heap[0] = heap[--n];
    }
    sink(heap, n, 0);
    return n;
}

static int apply_row(const struct pending_row *row, unsigned table, struct store_txn *txn) {
    return row->value != NULL
               ? store_put(txn, table, row->key, row->key_size, row->value, row->size)
               : store_delete(txn, table, row->key, row->key_size);
}

// LMDB keeps the pages that a transaction has changed in a sorted list, and moves half of it for a
// page that comes out of order. Those of a part are few, and merged. But a part cannot write out
// what others have changed: where that may be more pages than the list holds (131,071), there are
// none.
enum { PART_ROWS = 1024, IN_PARTS_PAGES_MAX = 100000, PAGE_BYTES_LEAST = 2048 }; // half a page

static int apply_table(struct pending *const *layers, unsigned n_layers, unsigned table,
                       bool in_parts, struct store_txn *txn) {
    struct source heap[PENDING_APPLY_MAX];
    unsigned n = 0;
    for (unsigned i = 0; i < n_layers; i++) {
        const struct node *first = list_of(layers[i], table)->first[0];
        if (first != NULL) {
            set_node(&heap[n], first);
            heap[n++].age = n_layers - 1 - i;
        }
    }
    for (unsigned i = n / 2; i-- > 0;) {
        sink(heap, n, i);
    }
    int r = 0;
    for (size_t n_rows = 0; r >= 0 && n > 0; n_rows++) {
        const struct source newest = heap[0];
        scheduling_yield_point();
        r = in_parts && n_rows % PART_ROWS == 0 ? store_next_part(txn) : 0;
        r = r == 0 ? apply_row(&newest.node->row, table, txn) : r;
        do { // what older ones say of it
            n = advance(heap, n);
        } while (n > 0 && compare_nodes(&newest, &heap[0]) == 0);
    }
    return r;
}

int pending_apply(struct pending *const *layers, unsigned n, struct store_txn *txn) {
    assert(n > 0 && n <= PENDING_APPLY_MAX);
    size_t n_rows = 0, bytes = 0;
    for (unsigned i = 0; i < n; i++) {
        n_rows += layers[i]->n_rows;
        bytes += pending_bytes(layers[i]);
    }
    // A page for each row that is there, and those that are new.
    bool in_parts = n_rows > PART_ROWS && n_rows + bytes / PAGE_BYTES_LEAST <= IN_PARTS_PAGES_MAX;
    int r = 0;
    for (unsigned table = 0; r >= 0 && table < layers[0]->n_tables; table++) {
        r = apply_table(layers, n, table, in_parts, txn);
    }
    return r < 0 ? r : store_end_part(txn);
}

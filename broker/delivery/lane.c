// SPDX-License-Identifier: Apache-2.0
// Queues of slots by lane, and two heaps: what may be handed out, by sequence, and what rests after
// a failure, by due time. A slot counts the lanes in which it is not first (n_blocked); at zero it
// is ready. All room is made when a slot is made, so that settling can never run out of memory.
#include "broker/delivery/lane.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "schemas/base/guards.h"

enum { SLOT_HEAP_MIN = 64 };

static int heap_reserve(struct slot_heap *heap, size_t n) {
    if (n <= heap->capacity)
        return 0;
    size_t capacity = heap->capacity ? heap->capacity * 2 : SLOT_HEAP_MIN;
    struct slot_heap_cell *cells = realloc(heap->cells, capacity * sizeof *cells);
    if (!cells)
        return -ENOMEM;
    heap->cells = cells;
    heap->capacity = capacity;
    return 0;
}

static void heap_place(struct slot_heap *heap, size_t i, struct slot_heap_cell cell) {
    heap->cells[i] = cell;
    cell.slot->heap_index = i;
}

static void heap_settle(struct slot_heap *heap, size_t i, struct slot_heap_cell cell) {
    while (i > 0 && cell.key < heap->cells[(i - 1) / 2].key) {
        heap_place(heap, i, heap->cells[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    for (size_t child; (child = 2 * i + 1) < heap->n_slots; i = child) {
        if (child + 1 < heap->n_slots && heap->cells[child + 1].key < heap->cells[child].key)
            child++;
        if (cell.key <= heap->cells[child].key)
            break;
        heap_place(heap, i, heap->cells[child]);
    }
    heap_place(heap, i, cell);
}

static void heap_push(struct slot_heap *heap, struct slot *slot, uint64_t key) {
    assert(heap->n_slots < heap->capacity);
    slot->heap_key = key;
    heap->n_slots++;
    heap_settle(heap, heap->n_slots - 1, (struct slot_heap_cell){key, slot});
}

static void heap_remove(struct slot_heap *heap, struct slot *slot) {
    size_t i = slot->heap_index;
    assert(i < heap->n_slots && heap->cells[i].slot == slot);
    struct slot_heap_cell last = heap->cells[--heap->n_slots];
    if (last.slot != slot)
        heap_settle(heap, i, last);
}

static void slot_count_held(struct slot *slot, bool held) {
    for (unsigned i = 0; i < slot->n_links; i++)
        if (slot->links[i].lane)
            slot->links[i].lane->n_held += held ? 1 : SIZE_MAX;
}

// Back to waiting, out of whichever heap it is in.
static void slot_back_to_waiting(struct lanes *lanes, struct slot *slot) {
    if (slot->state == SLOT_READY)
        heap_remove(&lanes->ready, slot);
    else if (slot->state == SLOT_RESTING)
        heap_remove(&lanes->resting, slot);
    else if (slot->state == SLOT_HELD)
        slot_count_held(slot, false);
    slot->state = SLOT_WAITING;
}

static void slot_unblock(struct lanes *lanes, struct slot *slot) {
    assert(slot->n_blocked > 0 && (slot->state == SLOT_WAITING || slot->state == SLOT_HELD));
    if (--slot->n_blocked > 0 || slot->state == SLOT_HELD)
        return;
    slot->state = SLOT_READY;
    heap_push(&lanes->ready, slot, slot->sequence);
}

void lanes_clear(struct lanes *lanes) {
    assert(lanes->n_slots == 0 && lanes->table.n_used == 0);
    lane_table_clear(&lanes->table);
    free(lanes->ready.cells);
    free(lanes->resting.cells);
    *lanes = (struct lanes){.spare = lanes->spare};
}

static struct slot *slot_get(struct spare *spare) {
    struct slot *slot = spare ? spare->slots : NULL;
    if (slot) {
        spare->slots = slot->next;
        spare->n_slots--;
        *slot = (struct slot){0};
    } else if (!(slot = calloc(1, sizeof *slot))) {
        return NULL;
    }
    if (spare)
        spare->n_alive++;
    return slot;
}

static struct lane *lane_get(struct spare *spare) {
    struct lane *lane = spare ? spare->lanes : NULL;
    if (!lane)
        return calloc(1, sizeof *lane);
    spare->lanes = lane->next_spare;
    spare->n_lanes--;
    *lane = (struct lane){0};
    return lane;
}

static void spare_clear(struct spare *spare) {
    for (struct slot *slot = spare->slots, *next; slot; slot = next) {
        next = slot->next;
        free(slot);
    }
    for (struct lane *lane = spare->lanes, *next; lane; lane = next) {
        next = lane->next_spare;
        free(lane);
    }
    *spare = (struct spare){0};
}

static void slot_put(struct spare *spare, struct slot *slot) {
    if (!spare || spare->n_slots >= SPARE_MAX) {
        free(slot);
    } else {
        slot->next = spare->slots;
        spare->slots = slot;
        spare->n_slots++;
    }
    if (spare && --spare->n_alive == 0)
        spare_clear(spare);
}

static void lane_put(struct spare *spare, struct lane *lane) {
    if (!spare || spare->n_alive == 0 || spare->n_lanes >= SPARE_MAX) {
        free(lane);
        return;
    }
    lane->next_spare = spare->lanes;
    spare->lanes = lane;
    spare->n_lanes++;
}

struct slot *slot_new(struct lanes *lanes, uint64_t sequence, enum slot_kind kind,
                      const uint64_t *numbers, unsigned n_numbers) {
    assert(n_numbers > 0 && n_numbers <= EVENT_LANES_MAX);
    if (heap_reserve(&lanes->ready, lanes->n_slots + 1) < 0 ||
        heap_reserve(&lanes->resting, lanes->n_slots + 1) < 0)
        return NULL;
    struct slot *slot = slot_get(lanes->spare);
    if (!slot)
        return NULL;
    slot->sequence = sequence;
    slot->kind = kind;
    slot->links = &slot->own;
    if (n_numbers > 1 && !(slot->links = calloc(n_numbers, sizeof *slot->links))) {
        slot_put(lanes->spare, slot);
        return NULL;
    }
    slot->n_links = slot->n_blocked = n_numbers;
    for (unsigned i = 0; i < n_numbers; i++) {
        slot->links[i].slot = slot;
        slot->links[i].number = numbers[i];
    }
    lanes->n_slots++;
    return slot;
}

struct slot *slot_free(struct lanes *lanes, struct slot *slot) {
    if (!slot)
        return NULL;
    assert(!slot->member);
    slot_dequeue(lanes, slot);
    if (slot->links != &slot->own)
        free(slot->links);
    slot_put(lanes->spare, slot);
    lanes->n_slots--;
    return NULL;
}

struct lane *lanes_find(const struct lanes *lanes, uint64_t number) {
    return lane_table_get(&lanes->table, number);
}

struct lane *lanes_get(struct lanes *lanes, uint64_t number) {
    struct lane *lane = lanes_find(lanes, number);
    if (lane)
        return lane;
    if (lane_table_reserve(&lanes->table) < 0 || !(lane = lane_get(lanes->spare)))
        return NULL;
    lane->number = number;
    lane_table_put(&lanes->table, number, lane);
    return lane;
}

void lanes_release(struct lanes *lanes, struct lane *lane) {
    if (lane->first || lane->parked)
        return;
    lane_table_remove(&lanes->table, lane->number);
    lane_put(lanes->spare, lane);
}

int slot_enqueue(struct lanes *lanes, struct slot *slot, unsigned index) {
    struct lane_link *link = &slot->links[index];
    assert(!link->lane && !link->waived);
    struct lane *lane = lanes_get(lanes, link->number);
    if (!lane)
        return -ENOMEM;
    link->lane = lane;
    link->previous = lane->last;
    if (lane->last)
        lane->last->next = link;
    else
        lane->first = link;
    lane->last = link;
    if (lane->first == link)
        slot_unblock(lanes, slot);
    return 0;
}

void slot_waive(struct lanes *lanes, struct slot *slot, unsigned index) {
    struct lane_link *link = &slot->links[index];
    assert(!link->lane && !link->waived);
    link->waived = true;
    slot_unblock(lanes, slot);
}

static void link_remove(struct lanes *lanes, struct lane_link *link) {
    struct lane *lane = link->lane;
    bool was_first = lane->first == link;
    if (link->previous)
        link->previous->next = link->next;
    else
        lane->first = link->next;
    if (link->next)
        link->next->previous = link->previous;
    else
        lane->last = link->previous;
    link->lane = NULL;
    link->previous = link->next = NULL;
    if (was_first && lane->first)
        slot_unblock(lanes, lane->first->slot);
    lanes_release(lanes, lane);
}

void slot_unlink(struct lanes *lanes, struct slot *slot, unsigned index) {
    struct lane_link *link = &slot->links[index];
    assert(link->lane && !slot->member);
    if (link->lane->first == link) {
        slot_back_to_waiting(lanes, slot);
        slot->n_blocked++;
    }
    link_remove(lanes, link);
}

void slot_dequeue(struct lanes *lanes, struct slot *slot) {
    assert(!slot->member);
    slot_back_to_waiting(lanes, slot);
    for (unsigned i = 0; i < slot->n_links; i++)
        if (slot->links[i].lane)
            link_remove(lanes, &slot->links[i]);
    slot->n_blocked = slot->n_links;
}

void slot_hold(struct lanes *lanes, struct slot *slot) {
    assert(slot->state == SLOT_READY || slot->state == SLOT_WAITING);
    slot_back_to_waiting(lanes, slot);
    slot->state = SLOT_HELD;
    slot_count_held(slot, true);
}

void slot_rest(struct lanes *lanes, struct slot *slot, int64_t due_us) {
    assert(slot->state == SLOT_HELD && !slot->member && slot->n_blocked == 0 && due_us >= 0);
    slot_back_to_waiting(lanes, slot);
    slot->state = SLOT_RESTING;
    heap_push(&lanes->resting, slot, (uint64_t)due_us);
}

void slot_wake(struct lanes *lanes, struct slot *slot) {
    assert(!slot->member);
    slot_back_to_waiting(lanes, slot);
    if (slot->n_blocked > 0)
        return;
    slot->state = SLOT_READY;
    heap_push(&lanes->ready, slot, slot->sequence);
}

bool slot_may_follow(const struct slot *slot, const struct member *member, size_t n_max) {
    if (slot->state != SLOT_WAITING || slot->kind != SLOT_LIVE || slot->alone)
        return false;
    for (unsigned i = 0; i < slot->n_links; i++) {
        const struct lane_link *link = &slot->links[i];
        if (!link->lane || (GUARD(ahead_bound) && link->lane->n_held >= n_max))
            return false;
        const struct slot *before = link->previous ? link->previous->slot : NULL;
        if (before && ((GUARD(ahead_same_member) && before->member != member) ||
                       before->kind != SLOT_LIVE || (GUARD(ahead_alone) && before->alone)))
            return false;
    }
    return true;
}

bool slot_is_followed(const struct slot *slot) {
    for (unsigned i = 0; i < slot->n_links; i++)
        if (slot->links[i].lane && slot->links[i].next &&
            slot->links[i].next->slot->state == SLOT_HELD)
            return true;
    return false;
}

bool slot_excused(const struct slot *slot) {
    for (unsigned i = 0; i < slot->n_links; i++)
        if (slot->links[i].lane && slot->links[i].lane->first->slot->state == SLOT_RESTING)
            return true;
    return false;
}

bool slot_in_lane(const struct slot *slot, uint64_t number) {
    for (unsigned i = 0; i < slot->n_links; i++)
        if (slot->links[i].number == number)
            return true;
    return false;
}

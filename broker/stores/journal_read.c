// SPDX-License-Identifier: Apache-2.0
// Reading the journal: what lies in its files comes from a disk and is judged before it is
// believed. Whole records are looked for at every page, in both files, and must then follow one
// another without a gap: since each is on disk before the next is begun, only the last can be torn.
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include "broker/bounds.h"
#include "broker/stores/journal_internal.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

// ---- changes

int journal_changes(const uint8_t *bytes, size_t size, journal_each each, void *user) {
    size_t at = 0;
    while (at < size) {
        struct journal_change_head head;
        if (size - at < sizeof(head)) {
            return -EBADMSG;
        }
        memcpy(&head, bytes + at, sizeof(head));
        at += sizeof(head);
        if (head.kind < JOURNAL_PUT || head.kind > JOURNAL_DELETE || head.key_size > size - at ||
            head.size > size - at - head.key_size) {
            return -EBADMSG;
        }
        struct journal_change change = {.kind = (enum journal_kind)head.kind,
                                        .table = head.table,
                                        .key = bytes + at,
                                        .key_size = head.key_size,
                                        .value = bytes + at + head.key_size,
                                        .size = head.size};
        int r = each(user, &change);
        if (r != 0) {
            return r;
        }
        at += (size_t)head.key_size + head.size;
    }
    return 0;
}

// ---- points

// Whether the page is a whole point of this journal.
static bool parse_slot(const struct journal *journal, const uint8_t page[static JOURNAL_SLOT_BYTES],
                       struct journal_slot *ret) {
    memcpy(ret, page, sizeof(*ret));
    return ret->magic == JOURNAL_MAGIC && ret->size <= JOURNAL_POINT_BYTES_MAX &&
           memcmp(ret->id, journal->id, sizeof(ret->id)) == 0 &&
           (!GUARD(log_point_checksum) ||
            ret->sum ==
                XXH3_64bits(page + sizeof(ret->sum), sizeof(*ret) - sizeof(ret->sum) + ret->size));
}

int journal_read_point(struct journal *journal, uint8_t ret[static JOURNAL_POINT_BYTES_MAX],
                       size_t *ret_size) {
    int found = 1;
    for (unsigned i = 0; i < JOURNAL_FILES; i++) {
        _Alignas(JOURNAL_PAGE_BYTES) uint8_t page[JOURNAL_SLOT_BYTES];
        struct journal_slot slot;
        ssize_t n = pread(journal->files[i].descriptor, page, sizeof(page), 0);
        if (n < 0) {
            return -errno;
        }
        if ((size_t)n != sizeof(page) || !parse_slot(journal, page, &slot) ||
            (found == 0 && slot.generation < journal->generation)) {
            continue;
        }
        journal->generation = slot.generation;
        atomic_store(&journal->needed_after, slot.number);
        memcpy(ret, page + sizeof(slot), slot.size);
        *ret_size = (size_t)slot.size;
        found = 0;
    }
    return found;
}

// ---- records

struct place {
    uint64_t number, at, size; // of the changes
    unsigned file;
};

struct scan {
    struct journal *journal;
    const uint8_t *bytes[JOURNAL_FILES]; // NULL: an empty file
    struct place *places;
    size_t n_places;
};

// Whether a whole record of this journal begins there.
static bool parse_record(const struct journal *journal, const uint8_t *bytes, uint64_t size,
                         struct journal_head *ret) {
    if (size < sizeof(*ret)) {
        return false;
    }
    memcpy(ret, bytes, sizeof(*ret));
    return ret->magic == JOURNAL_MAGIC && memcmp(ret->id, journal->id, sizeof(ret->id)) == 0 &&
           ret->head_sum == XXH3_64bits(ret, offsetof(struct journal_head, head_sum)) &&
           ret->size <= size - sizeof(*ret) &&
           (!GUARD(journal_checksum) ||
            ret->body_sum == XXH3_64bits(bytes + sizeof(*ret), (size_t)ret->size));
}

static int by_number(const void *a, const void *b) {
    const struct place *one = a, *other = b;
    return (one->number > other->number) - (one->number < other->number);
}

static void scan_file(struct scan *scan, unsigned number, uint64_t after) {
    struct journal_file *file = &scan->journal->files[number];
    const uint8_t *bytes = scan->bytes[number];
    uint64_t at = JOURNAL_SLOT_BYTES;
    while (bytes != NULL && at < file->size) {
        struct journal_head head;
        if (!parse_record(scan->journal, bytes + at, file->size - at, &head)) {
            at += JOURNAL_PAGE_BYTES;
            continue;
        }
        if (head.number > after) {
            scan->places[scan->n_places++] =
                (struct place){.number = head.number, .at = at, .size = head.size, .file = number};
        }
        at += journal_round(sizeof(head) + head.size);
    }
}

// Maps both files and finds what is behind `after`, in order.
static int scan_files(struct scan *scan, uint64_t after) {
    uint64_t pages = 0;
    for (unsigned i = 0; i < JOURNAL_FILES; i++) {
        struct journal_file *file = &scan->journal->files[i];
        if (file->size == 0) {
            continue;
        }
        void *bytes = mmap(NULL, (size_t)file->size, PROT_READ, MAP_PRIVATE, file->descriptor, 0);
        if (bytes == MAP_FAILED) {
            return -errno;
        }
        scan->bytes[i] = bytes;
        pages += file->size / JOURNAL_PAGE_BYTES;
    }
    scan->places = calloc(pages + 1, sizeof(*scan->places));
    if (scan->places == NULL) {
        return -ENOMEM;
    }
    for (unsigned i = 0; i < JOURNAL_FILES; i++) {
        scan_file(scan, i, after);
    }
    qsort(scan->places, scan->n_places, sizeof(*scan->places), by_number);
    return 0;
}

// They follow one another from the point on; what is missing can only be behind the last.
static int check_order(const struct scan *scan, uint64_t after) {
    for (size_t i = 0; GUARD(journal_gap) && i < scan->n_places; i++) {
        if (scan->places[i].number != after + 1 + i) {
            logging_error("journal=damaged record=%" PRIu64 " next=%" PRIu64, after + 1 + i,
                          scan->places[i].number);
            return -EBADMSG;
        }
    }
    return 0;
}

static int replay_places(const struct scan *scan, journal_each each, int (*done)(void *user),
                         void *user) {
    int r = 0;
    for (size_t i = 0; r == 0 && i < scan->n_places; i++) {
        const struct place *place = &scan->places[i];
        r = journal_changes(scan->bytes[place->file] + place->at + sizeof(struct journal_head),
                            (size_t)place->size, each, user);
        r = r == 0 ? done(user) : r;
    }
    return r > 0 ? -EBADMSG : r;
}

// The next record goes behind the last.
static void go_on(struct scan *scan, uint64_t after) {
    struct journal *journal = scan->journal;
    journal->number = after;
    for (size_t i = 0; i < scan->n_places; i++) {
        const struct place *place = &scan->places[i];
        struct journal_file *file = &journal->files[place->file];
        file->last_number = journal->number = place->number;
        file->used = place->at + journal_round(sizeof(struct journal_head) + place->size);
        journal->active = place->file;
    }
}

int journal_replay(struct journal *journal, uint64_t after, journal_each each,
                   int (*done)(void *user), void *user) {
    struct scan scan = {.journal = journal};
    int r = scan_files(&scan, after);
    r = r == 0 ? check_order(&scan, after) : r;
    r = r == 0 && GUARD(log_replay) ? replay_places(&scan, each, done, user) : r;
    if (r == 0) {
        go_on(&scan, after);
    }
    for (unsigned i = 0; i < JOURNAL_FILES; i++) {
        if (scan.bytes[i] != NULL) {
            union {
                const uint8_t *in;
                void *out;
            } bytes = {.in = scan.bytes[i]};
            munmap(bytes.out, (size_t)journal->files[i].size);
        }
    }
    free(scan.places);
    return r;
}

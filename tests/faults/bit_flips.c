// SPDX-License-Identifier: Apache-2.0
// One bit of a store's file is flipped, anywhere, and the broker's state is opened and read to its
// end, in a process of its own. What may come of it:
//   harmless  everything is there: the bit stood where nobody looks
//   refused   the state does not open, and says why
//   named     it opens; what cannot be read is said to be damaged, with its sequences
//   differs   (view only) a row differs, or does not open: `view verify` finds it, a rebuild heals
//   it died      the process ends by a signal: LMDB believes its own pages
// and never: an event of the log that reads as another, or is missing without a word. Blocks have a
// checksum, so in their bytes nothing dies either; LMDB's own pages have none.
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "broker/query/query.h"
#include "broker/stores/state.h"
#include "schemas/base/logging.h"
#include "tests/faults/folder.h"
#include "tests/unit/stores/ticks.h"

enum { TICKS = 24, EVENTS_A_TICK = 40, PAGE_BYTES = 4096, ROUNDS = 150, ROUNDS_SLOW = 20000 };
enum { RUN_SECONDS = 20, KIND_META = 0, KIND_TREE, KIND_BLOCK, KINDS };
enum outcome { HARMLESS, REFUSED, NAMED, DIFFERS, DIED, SILENT, OUTCOMES };

static const char *const outcome_names[OUTCOMES] = {"harmless", "refused", "named",
                                                    "differs",  "died",    "SILENT"};
static const char *const kind_names[KINDS] = {"meta", "tree", "blocks"};

static struct broker broker;
static char folder[64], view_hash_whole[65];
static uint64_t n_events;

static int open_state(void) {
    broker = (struct broker){.lock = -1};
    broker.configuration.state = strdup(folder);
    broker.configuration.log_map_bytes = broker.configuration.view_map_bytes = 1 << 26;
    return state_open(&broker);
}

static void close_state(bool clean) {
    state_close(&broker, clean);
    free(broker.configuration.state);
}

static void make_state(void) {
    FOLDER_REQUIRE(open_state() == 0);
    for (int i = 0; i < TICKS; i++) {
        ticks_one(&broker, EVENTS_A_TICK);
    }
    n_events = log_next(broker.log) - 1;
    ticks_hash(broker.view, view_hash_whole);
    FOLDER_REQUIRE(n_events == (uint64_t)TICKS * EVENTS_A_TICK && ticks_first_wrong(&broker) == 0);
    close_state(true);
    // Anew, so that the view's file is full of what is read and not of what was written over.
    char marker[96];
    snprintf(marker, sizeof(marker), "%s/" VIEW_REBUILD_MARKER, folder);
    FILE *file = fopen(marker, "we");
    FOLDER_REQUIRE(file != NULL && fclose(file) == 0 && open_state() == 0);
    close_state(true);
}

// ---- one round, in its own process

static enum outcome read_log(void) {
    struct log_reader *reader = NULL;
    if (log_reader_new(broker.log, &reader) != 0 || log_reader_begin(reader) != 0) {
        return REFUSED;
    }
    enum outcome outcome = HARMLESS;
    for (uint64_t at = 1; at <= n_events;) {
        struct block_head block = {.first = 0};
        int r = log_reader_block(reader, at, &block);
        if (r < 0) { // said with first and n_events, so that a reader knows what is gone
            outcome = NAMED;
            bool names_it = r == -EBADMSG && block.first <= at && block.n_events > 0;
            at = names_it ? block.first + block.n_events : at + 1;
            continue;
        }
        if (r > 0 || block.first > at) {
            return SILENT; // a hole that nobody speaks of
        }
        uint32_t index = (uint32_t)(at - block.first);
        char id[32];
        int n = snprintf(id, sizeof(id), "e-%" PRIu64, at);
        struct block_entry entry;
        if (block_entry_get(&block, index, &entry) != 0 ||
            memmem(entry.open, entry.open_size, id, (size_t)n) == NULL) {
            return SILENT;
        }
        at++;
    }
    log_reader_end(reader);
    log_reader_free(reader);
    return outcome;
}

static enum outcome try_state(bool of_view) {
    int r = open_state();
    if (r != 0) {
        return REFUSED;
    }
    enum outcome outcome = read_log();
    if (outcome == HARMLESS && ticks_first_wrong(&broker) != 0) {
        outcome = SILENT;
    }
    if (of_view && outcome == HARMLESS) {
        char hash[65];
        ticks_hash(broker.view, hash);
        outcome = strcmp(hash, view_hash_whole) == 0 ? HARMLESS : DIFFERS;
    }
    return outcome;
}

static enum outcome in_a_process(bool of_view) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit none = {0};
        setrlimit(RLIMIT_CORE, &none);
        alarm(RUN_SECONDS); // a tree that leads in a circle ends so, too
        _exit((int)try_state(of_view));
    }
    int status = -1;
    FOLDER_REQUIRE(child > 0 && waitpid(child, &status, 0) == child);
    return WIFEXITED(status) && WEXITSTATUS(status) < OUTCOMES ? (enum outcome)WEXITSTATUS(status)
                                                               : DIED;
}

// ---- the campaign

// What a page is, by its flags: LMDB's branch, leaf and meta pages; all else belongs to large
// values, of which the log's are blocks. The first page of those has LMDB's header of 16 bytes.
static int kind_of(const uint8_t *page, size_t index, size_t offset) {
    enum { FLAGS_AT = 10, BRANCH = 1, LEAF = 2, OVERFLOW = 4, METAS = 2, HEADER_BYTES = 16 };
    uint16_t flags;
    memcpy(&flags, page + FLAGS_AT, sizeof(flags));
    if (index < METAS) {
        return KIND_META;
    }
    bool is_tree = flags == BRANCH || flags == LEAF || (flags == OVERFLOW && offset < HEADER_BYTES);
    return is_tree ? KIND_TREE : KIND_BLOCK;
}

static bool flip(const struct folder_files *files, const char *store, unsigned rounds,
                 unsigned *seed) {
    unsigned counts[KINDS][OUTCOMES] = {{0}};
    char path[96];
    snprintf(path, sizeof(path), "%s/data.mdb", store);
    const struct folder_file *file = folder_find(files, path);
    bool of_view = strcmp(store, "view") == 0, well = true;
    for (unsigned round = 0; round < rounds; round++) {
        size_t n_pages = file->size / PAGE_BYTES;
        size_t page = round % 8 == 0 ? (size_t)rand_r(seed) % 2 : (size_t)rand_r(seed) % n_pages;
        // LMDB's own words stand in front of a page: every other flip goes there.
        size_t offset = (size_t)rand_r(seed) % (rand_r(seed) % 2 == 0 ? 192 : PAGE_BYTES);
        int bit = rand_r(seed) % 8, kind = kind_of(file->bytes + page * PAGE_BYTES, page, offset);
        folder_write(files, folder);
        folder_flip(folder, path, page * PAGE_BYTES + offset, bit);
        enum outcome outcome = in_a_process(of_view);
        counts[kind][outcome]++;
        bool allowed = outcome != SILENT && (outcome != DIED || kind != KIND_BLOCK || of_view);
        if (!allowed) {
            printf("%s: page %zu offset %zu bit %d (%s): %s\n", path, page, offset, bit,
                   kind_names[kind], outcome_names[outcome]);
            well = false;
        }
    }
    for (int kind = 0; kind < KINDS; kind++) {
        printf("%-5s %-7s", store, kind_names[kind]);
        for (int outcome = 0; outcome < OUTCOMES; outcome++) {
            printf(" %s=%u", outcome_names[outcome], counts[kind][outcome]);
        }
        printf("\n");
    }
    // The control: flips that nobody ever notices would mean that nobody looks.
    return well && (of_view || counts[KIND_BLOCK][NAMED] > 0);
}

int main(int argc, char **argv) {
    unsigned seed = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : (unsigned)time(NULL);
    unsigned rounds = getenv("TOUCHBUS_SLOW") != NULL ? ROUNDS_SLOW : ROUNDS;
    printf("%s %u\n", argv[0], seed);
    logging_init("bit-flips", LOGGING_ERROR);
    if (freopen("/dev/null", "we", stderr) == NULL && argc < 0) {
        return EXIT_FAILURE;
    }
    folder_make(folder, sizeof(folder));
    make_state();
    struct folder_files *files = folder_read(folder);
    bool well = flip(files, "log", rounds, &seed);
    well = flip(files, "view", rounds, &seed) && well;
    folder_files_free(files);
    folder_remove(folder);
    return well ? EXIT_SUCCESS : EXIT_FAILURE;
}

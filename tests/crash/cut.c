// SPDX-License-Identifier: Apache-2.0
// Cuts the power in a recorded history, again and again, and judges what is left.
//   crash-cut TRACE FOLDER [options] ACCOUNT...
//     --kind log|recovery|first   where to cut and what to compare (default log); first: only right
//                          behind what a life answered first
//     --states N           how many (default 1)
//     --seed S             state I of a seed and kind is always the same one
//     --state I            that one alone
//     --keep               leaves its folder (FOLDER/cut-I) and does not judge it
//     --keep-every N       the same of every N-th state
//     --stop-after N       complaints
//     --unsynced PREFIX    leaves the syncs of such paths out of the record: a control
//     --lives FILE         offsets at which lives began, a line each
//     --equals FOLDER      no cut: whether that folder is what the whole record says
//     --judge              no cut: judges FOLDER itself against all of the accounts
// Exit: 0 nothing wrong, 1 something is, 2 it could not be done.
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "account.h"
#include "broker/stores/store.h"
#include "disk.h"
#include "judge.h"
#include "schemas/base/logging.h"
#include "trace.h"

enum {
    JUDGE_SECONDS_MAX = 60,
    LIVES_MAX = 256,
    COMPLAINT_BYTES = 400,
    WINDOW_OPS = 40,
    START_OPS = 80
};

enum kind { KIND_LOG, KIND_RECOVERY, KIND_FIRST, N_KINDS };

struct cut {
    const char *trace_file, *folder, *unsynced, *lives_file, *equals;
    enum kind kind;
    uint64_t seed;
    size_t n_states, state;
    bool one, keep, judge_only;
    size_t stop_after, keep_every;
    struct trace *trace;
    struct account *account;
    uint64_t lives[LIVES_MAX];
    size_t n_lives;
};

struct moment {
    size_t state, n_ops;
    uint64_t seed;
};

// ---- where to cut: each a way to choose, in turn

static size_t anywhere(const struct cut *cut, uint64_t *seed) {
    return 1 + (size_t)disk_below(seed, cut->trace->n_ops);
}

// Right behind what let somebody see something.
static size_t at_an_ack(const struct cut *cut, uint64_t *seed) {
    if (cut->account->n_lines == 0) {
        return anywhere(cut, seed);
    }
    size_t i = (size_t)disk_below(seed, cut->account->n_lines);
    return trace_ops_before(cut->trace, cut->account->lines[i].offset);
}

// The first a life answered: what a start has found it must have kept.
static size_t at_a_first_ack(const struct cut *cut, uint64_t *seed) {
    uint64_t began = cut->n_lives > 0 ? cut->lives[disk_below(seed, cut->n_lives)] : 0;
    for (size_t i = 0; i < cut->account->n_lines; i++) {
        if (cut->account->lines[i].offset > began) {
            return trace_ops_before(cut->trace, cut->account->lines[i].offset);
        }
    }
    return at_an_ack(cut, seed);
}

// Shortly behind an operation on a path that starts with one of these.
static size_t near_a_path(const struct cut *cut, uint64_t *seed, const char *prefix) {
    size_t from = (size_t)disk_below(seed, cut->trace->n_ops);
    for (size_t i = 0; i < cut->trace->n_ops; i++) {
        size_t at = (from + i) % cut->trace->n_ops;
        const struct trace_op *op = &cut->trace->ops[at];
        if (strncmp(cut->trace->paths[op->path], prefix, strlen(prefix)) == 0) {
            size_t behind = at + (size_t)disk_below(seed, WINDOW_OPS);
            return behind < cut->trace->n_ops ? behind : cut->trace->n_ops;
        }
    }
    return anywhere(cut, seed);
}

static size_t in_a_start(const struct cut *cut, uint64_t *seed) {
    uint64_t began = cut->n_lives > 0 ? cut->lives[disk_below(seed, cut->n_lives)] : 0;
    size_t at = trace_ops_before(cut->trace, began) + (size_t)disk_below(seed, START_OPS);
    return at < cut->trace->n_ops ? at : cut->trace->n_ops;
}

static size_t near_keys(const struct cut *cut, uint64_t *seed) {
    return near_a_path(cut, seed, "keys");
}

static size_t near_a_point(const struct cut *cut, uint64_t *seed) {
    return near_a_path(cut, seed, "view/restore-point");
}

static size_t near_the_base(const struct cut *cut, uint64_t *seed) {
    return near_a_path(cut, seed, "base/");
}

typedef size_t (*chooser)(const struct cut *cut, uint64_t *seed);
static const struct {
    const char *name;
    chooser choosers[8];
    size_t n_choosers;
    bool with_view;
} kinds[N_KINDS] = {
    [KIND_LOG] = {"log",
                  {anywhere, at_an_ack, at_a_first_ack, at_an_ack, in_a_start, anywhere, at_an_ack,
                   near_keys},
                  8,
                  false},
    [KIND_RECOVERY] = {"recovery",
                       {near_a_point, near_the_base, in_a_start, near_a_point, anywhere, at_an_ack},
                       6,
                       true},
    [KIND_FIRST] = {"first", {at_a_first_ack}, 1, false},
};

static struct moment choose(const struct cut *cut, size_t state) {
    uint64_t seed = cut->seed * 1000003 + state * 2 + cut->kind;
    disk_random(&seed);
    size_t way = state % kinds[cut->kind].n_choosers;
    struct moment moment = {.state = state};
    moment.n_ops = kinds[cut->kind].choosers[way](cut, &seed);
    // What a record begins with was there before.
    size_t first = cut->n_lives > 0 ? trace_ops_before(cut->trace, cut->lives[0]) : 0;
    moment.n_ops = moment.n_ops > first ? moment.n_ops : first;
    moment.seed = disk_random(&seed);
    return moment;
}

static int by_moment(const void *a, const void *b) {
    const struct moment *one = a, *other = b;
    return one->n_ops != other->n_ops ? (one->n_ops > other->n_ops ? 1 : -1)
                                      : (one->state > other->state) - (one->state < other->state);
}

// ---- judging one, in a process of its own

static uint64_t offset_of(const struct cut *cut, size_t n_ops) {
    return n_ops == 0 ? 0 : cut->trace->ops[n_ops - 1].end;
}

static void read_complaint(FILE *said, char ret[static COMPLAINT_BYTES]) {
    rewind(said);
    size_t n = fread(ret, 1, COMPLAINT_BYTES - 1, said);
    ret[n] = '\0';
    for (size_t i = 0; i < n; i++) {
        ret[i] = ret[i] == '\n' ? ';' : ret[i];
    }
}

static bool judge_apart(const struct cut *cut, const char *state, uint64_t offset,
                        char complaint[static COMPLAINT_BYTES]) {
    FILE *said = tmpfile();
    if (said == NULL) {
        exit(2);
    }
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        dup2(fileno(said), STDERR_FILENO);
        alarm(JUDGE_SECONDS_MAX);
        logging_init("crash-cut", LOGGING_ERROR);
        _exit(judge_state(state, cut->account, offset, kinds[cut->kind].with_view));
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) {
        exit(2);
    }
    bool right = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    read_complaint(said, complaint);
    fclose(said);
    if (WIFSIGNALED(status)) {
        size_t n = strlen(complaint);
        snprintf(complaint + n, COMPLAINT_BYTES - n, " ended by signal %d", WTERMSIG(status));
    }
    return right;
}

// ---- the campaign

static void advance(struct disk *disk, const struct trace *trace, size_t *at, size_t n_ops) {
    for (; *at < n_ops; (*at)++) {
        disk_apply(disk, &trace->ops[*at]);
    }
}

static bool is_kept(const struct cut *cut, const struct moment *moment) {
    return cut->keep || (cut->keep_every > 0 && moment->state % cut->keep_every == 0);
}

static void say(const struct cut *cut, const struct moment *moment, const char *what) {
    printf("%s %zu: cut behind operation %zu of %zu: %s\n", kinds[cut->kind].name, moment->state,
           moment->n_ops, cut->trace->n_ops, what);
}

static bool one_state(const struct cut *cut, struct disk *disk, const struct moment *moment) {
    char image[4096], complaint[COMPLAINT_BYTES];
    snprintf(image, sizeof(image), "%s/cut-%zu", cut->folder, moment->state);
    if (store_remove_folder(image) != 0) {
        perror(image);
        exit(2);
    }
    disk_cut(disk, moment->seed, image);
    if (is_kept(cut, moment)) {
        printf("kept\t%zu\t%" PRIu64 "\t%s\n", moment->state, offset_of(cut, moment->n_ops), image);
        return true;
    }
    bool right = judge_apart(cut, image, offset_of(cut, moment->n_ops), complaint);
    if (!right) {
        say(cut, moment, complaint);
    }
    store_remove_folder(image);
    return right;
}

static int cut_all(const struct cut *cut) {
    size_t n = cut->one ? 1 : cut->n_states, n_wrong = 0, at = 0;
    struct moment *moments = calloc(n, sizeof(*moments));
    struct disk *disk = disk_new(cut->trace, cut->unsynced);
    if (moments == NULL) {
        abort();
    }
    for (size_t i = 0; i < n; i++) {
        moments[i] = choose(cut, cut->one ? cut->state : i);
    }
    qsort(moments, n, sizeof(*moments), by_moment);
    size_t i = 0;
    while (i < n && n_wrong < cut->stop_after) {
        advance(disk, cut->trace, &at, moments[i].n_ops);
        n_wrong += !one_state(cut, disk, &moments[i++]);
    }
    if (!cut->keep) {
        printf("%zu %s states, %zu wrong\n", i, kinds[cut->kind].name, n_wrong);
    }
    disk_free(disk);
    free(moments);
    return n_wrong > 0;
}

static int compare(const struct cut *cut) {
    struct disk *disk = disk_new(cut->trace, NULL);
    size_t at = 0;
    advance(disk, cut->trace, &at, cut->trace->n_ops);
    bool equal = disk_equals(disk, cut->equals);
    disk_free(disk);
    return !equal;
}

static int judge_only(const struct cut *cut) {
    char complaint[COMPLAINT_BYTES];
    bool right = judge_apart(cut, cut->folder, UINT64_MAX, complaint);
    printf("%s%s\n", right ? "right" : "wrong: ", right ? "" : complaint);
    return !right;
}

// ---- the command line

static enum kind kind_of(const char *name) {
    for (int i = 0; i < N_KINDS; i++) {
        if (strcmp(name, kinds[i].name) == 0) {
            return (enum kind)i;
        }
    }
    fprintf(stderr, "crash-cut: no such kind: %s\n", name);
    exit(2);
}

static void read_lives(struct cut *cut) {
    FILE *file = cut->lives_file != NULL ? fopen(cut->lives_file, "r") : NULL;
    while (file != NULL && cut->n_lives < LIVES_MAX &&
           fscanf(file, "%" SCNu64, &cut->lives[cut->n_lives]) == 1) {
        cut->n_lives++;
    }
    if (file != NULL) {
        fclose(file);
    }
}

static void take(struct cut *cut, int option, char *value) {
    switch (option) {
    case 'k':
        cut->kind = kind_of(value);
        break;
    case 'n':
        cut->n_states = strtoull(value, NULL, 10);
        break;
    case 's':
        cut->seed = strtoull(value, NULL, 10);
        break;
    case 'i':
        cut->state = strtoull(value, NULL, 10);
        cut->one = true;
        break;
    case 'K':
        cut->keep = true;
        break;
    case 'E':
        cut->keep_every = strtoull(value, NULL, 10);
        break;
    case 'a':
        cut->stop_after = strtoull(value, NULL, 10);
        break;
    case 'u':
        cut->unsynced = value;
        break;
    case 'l':
        cut->lives_file = value;
        break;
    case 'e':
        cut->equals = value;
        break;
    case 'j':
        cut->judge_only = true;
        break;
    default:
        exit(2);
    }
}

static void read_options(struct cut *cut, int argc, char **argv) {
    static const struct option options[] = {
        {"kind", required_argument, NULL, 'k'},
        {"states", required_argument, NULL, 'n'},
        {"seed", required_argument, NULL, 's'},
        {"state", required_argument, NULL, 'i'},
        {"keep", no_argument, NULL, 'K'},
        {"keep-every", required_argument, NULL, 'E'},

        {"stop-after", required_argument, NULL, 'a'},
        {"unsynced", required_argument, NULL, 'u'},
        {"lives", required_argument, NULL, 'l'},
        {"equals", required_argument, NULL, 'e'},
        {"judge", no_argument, NULL, 'j'},
        {NULL, 0, NULL, 0},
    };
    for (int option = 0; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        take(cut, option, optarg);
    }
    if (argc - optind < 2) {
        fprintf(stderr, "usage: crash-cut TRACE FOLDER [options] ACCOUNT...\n");
        exit(2);
    }
    cut->trace_file = argv[optind];
    cut->folder = argv[optind + 1];
    cut->account = account_read(argv + optind + 2, (size_t)(argc - optind - 2));
}

int main(int argc, char **argv) {
    static struct cut cut = {.n_states = 1, .stop_after = SIZE_MAX};
    read_options(&cut, argc, argv);
    read_lives(&cut);
    int status = 0;
    if (cut.judge_only) {
        status = judge_only(&cut);
    } else {
        cut.trace = trace_read(cut.trace_file);
        if (cut.trace->n_ops == 0) {
            fprintf(stderr, "crash-cut: nothing was recorded\n");
            return 2;
        }
        status = cut.equals != NULL ? compare(&cut) : cut_all(&cut);
        trace_free(cut.trace);
    }
    account_free(cut.account);
    return status;
}

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
#include "moment.h"
#include "schemas/base/logging.h"
#include "trace.h"

enum { JUDGE_SECONDS_MAX = 60, COMPLAINT_BYTES = 400 };

struct cut {
    const char *trace_file, *folder, *unsynced, *lives_file, *equals;
    enum kind kind;
    uint64_t seed;
    size_t n_states, state;
    bool one, keep, judge_only;
    size_t stop_after, keep_every;
    struct history history;
};

// ---- judging one, in a process of its own

static uint64_t offset_of(const struct cut *cut, size_t n_ops) {
    return n_ops == 0 ? 0 : cut->history.trace->ops[n_ops - 1].end;
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
        _exit(judge_state(state, cut->history.account, offset, moment_with_view(cut->kind)));
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

// A cut may come while the next write is on its way, though it is one that waits for the disk.
static void begin_next(const struct cut *cut, struct disk *disk, const struct moment *moment) {
    const struct trace *trace = cut->history.trace;
    if (moment->n_ops < trace->n_ops && trace->ops[moment->n_ops].kind == 'W' &&
        (moment->seed & 1) != 0) {
        struct trace_op begun = trace->ops[moment->n_ops];
        begun.kind = 'w'; // and later done once more, as a whole
        disk_apply(disk, &begun);
    }
}

static bool is_kept(const struct cut *cut, const struct moment *moment) {
    return cut->keep || (cut->keep_every > 0 && moment->state % cut->keep_every == 0);
}

static void say(const struct cut *cut, const struct moment *moment, const char *what) {
    printf("%s %zu: cut behind operation %zu of %zu: %s\n", moment_kind_name(cut->kind),
           moment->state, moment->n_ops, cut->history.trace->n_ops, what);
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
    struct disk *disk = disk_new(cut->history.trace, cut->unsynced);
    if (moments == NULL) {
        abort();
    }
    for (size_t i = 0; i < n; i++) {
        moments[i] = moment_choose(&cut->history, cut->kind, cut->seed, cut->one ? cut->state : i);
    }
    qsort(moments, n, sizeof(*moments), moment_compare);
    size_t i = 0;
    while (i < n && n_wrong < cut->stop_after) {
        advance(disk, cut->history.trace, &at, moments[i].n_ops);
        begin_next(cut, disk, &moments[i]);
        n_wrong += !one_state(cut, disk, &moments[i++]);
    }
    if (!cut->keep) {
        printf("%zu %s states, %zu wrong\n", i, moment_kind_name(cut->kind), n_wrong);
    }
    disk_free(disk);
    free(moments);
    return n_wrong > 0;
}

static int compare(const struct cut *cut) {
    struct disk *disk = disk_new(cut->history.trace, NULL);
    size_t at = 0;
    advance(disk, cut->history.trace, &at, cut->history.trace->n_ops);
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

static void read_lives(struct cut *cut) {
    FILE *file = cut->lives_file != NULL ? fopen(cut->lives_file, "r") : NULL;
    while (file != NULL && cut->history.n_lives < HISTORY_LIVES_MAX &&
           fscanf(file, "%" SCNu64, &cut->history.lives[cut->history.n_lives]) == 1) {
        cut->history.n_lives++;
    }
    if (file != NULL) {
        fclose(file);
    }
}

static void take(struct cut *cut, int option, char *value) {
    switch (option) {
    case 'k':
        if (!moment_parse_kind(value, &cut->kind)) {
            fprintf(stderr, "crash-cut: no such kind: %s\n", value);
            exit(2);
        }
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
    cut->history.account = account_read(argv + optind + 2, (size_t)(argc - optind - 2));
}

int main(int argc, char **argv) {
    static struct cut cut = {.n_states = 1, .stop_after = SIZE_MAX};
    read_options(&cut, argc, argv);
    read_lives(&cut);
    int status = 0;
    if (cut.judge_only) {
        status = judge_only(&cut);
    } else {
        cut.history.trace = trace_read(cut.trace_file);
        if (cut.history.trace->n_ops == 0) {
            fprintf(stderr, "crash-cut: nothing was recorded\n");
            return 2;
        }
        status = cut.equals != NULL ? compare(&cut) : cut_all(&cut);
        trace_free(cut.history.trace);
    }
    account_free(cut.history.account);
    return status;
}

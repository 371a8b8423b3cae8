// SPDX-License-Identifier: Apache-2.0
// The table of tasks: name, options, function. Each prints JSON lines as backup.h says.
#include "broker/backup/offline.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/backup/backup.h"
#include "broker/backup/cut.h"
#include "broker/stores/state.h"
#include "schemas/base/logging.h"
#include "schemas/base/options.h"

enum { EXIT_NO = 1, EXIT_USAGE = 2 };
#define MAP_BYTES (INT64_C(1) << 40)

struct offline {
    char *state, *to, *keys_to, *from, *keys, *scratch;
    bool force, replace;
};

#define STRING(NAME, MEMBER, HELP)                                                                 \
    {                                                                                              \
        .name = (NAME), .type = OPTION_STRING, .offset = offsetof(struct offline, MEMBER),         \
        .argument = "DIR", .help = (HELP)                                                          \
    }
#define FLAG(NAME, MEMBER, HELP)                                                                   \
    {                                                                                              \
        .name = (NAME), .type = OPTION_BOOL, .offset = offsetof(struct offline, MEMBER),           \
        .help = (HELP)                                                                             \
    }

static int say(const char *what, int r) {
    printf("{\"error\": \"%s: %s\"}\n", what, strerror(-r));
    return EXIT_NO;
}

// ---- backup: of a state folder that no broker has

static int fill_stores(const char *part, void *user) {
    const struct cut_pace pace = {.alone = true};
    struct broker *broker = user;
    struct cut *cut = NULL;
    int r = cut_take(broker, &cut);
    r = r == 0 ? cut_write(cut, part, &pace) : r;
    cut_free(cut);
    return r;
}

static int fill_keys(const char *part, void *user) {
    const struct cut_pace pace = {.alone = true};
    struct broker *broker = user;
    return cut_write_keys(broker->keys, part, &pace);
}

static int run_backup(const struct offline *task) {
    struct broker *broker = calloc(1, sizeof(*broker));
    if (broker == NULL) {
        return say(task->state, -ENOMEM);
    }
    broker->configuration.state = task->state;
    broker->configuration.log_map_bytes = broker->configuration.view_map_bytes = MAP_BYTES;
    int r = state_open(broker);
    const char *what = task->state;
    if (r == 0 && task->to != NULL) {
        what = task->to;
        r = cut_folder(task->to, fill_stores, broker);
    }
    if (r == 0 && task->keys_to != NULL) {
        what = task->keys_to;
        r = cut_folder(task->keys_to, fill_keys, broker);
    }
    uint64_t next = r == 0 ? log_next(broker->log) : 0;
    state_close(broker, r == 0);
    free(broker);
    if (r != 0) {
        return say(what, r);
    }
    printf("{\"applied\": %llu}\n", (unsigned long long)next - 1);
    return EXIT_SUCCESS;
}

static bool check_backup(const struct offline *task) {
    return task->state != NULL && (task->to != NULL || task->keys_to != NULL);
}

// ---- verify-backup, restore

static int run_verify(const struct offline *task) {
    return backup_verify(task->from, task->keys, task->scratch, stdout);
}

static bool check_verify(const struct offline *task) {
    return task->from != NULL;
}

static int run_restore(const struct offline *task) {
    const struct restore_task restore = {.from = task->from,
                                         .keys = task->keys,
                                         .state = task->state,
                                         .force = task->force,
                                         .replace = task->replace};
    return backup_restore(&restore, stdout);
}

static bool check_restore(const struct offline *task) {
    return task->from != NULL && task->keys != NULL && task->state != NULL;
}

// ---- the table

static const struct option_row backup_rows[] = {
    STRING("state", state, "The state folder; no broker may run on it."),
    STRING("to", to, "The new folder for log, base, view and cursors."),
    STRING("keys-to", keys_to, "The new folder for the keys."),
};
static const struct option_row verify_rows[] = {
    STRING("from", from, "The backup."),
    STRING("keys", keys, "Its keys: then the view is compared with base and log, too."),
    {.name = "scratch",
     .type = OPTION_STRING,
     .offset = offsetof(struct offline, scratch),
     .default_text = "/var/tmp",
     .argument = "DIR",
     .help = "Where the view is built anew."},
};
static const struct option_row restore_rows[] = {
    STRING("from", from, "The backup."),
    STRING("keys", keys, "The newest keys there are."),
    STRING("state", state, "The new state folder."),
    FLAG("force", force, "Although customers have no key: what the log has of them is lost."),
    FLAG("replace", replace, "Move a state folder that is there aside."),
};

#define ROWS(NAME) .rows = (NAME), .n_rows = sizeof(NAME) / sizeof((NAME)[0])

static const struct task {
    const char *name;
    struct option_page page;
    bool (*check)(const struct offline *task);
    int (*run)(const struct offline *task);
} tasks[] = {
    {.name = "backup",
     .page = {.program = "touchbusd backup",
              .synopsis = "--state DIR [--to DIR] [--keys-to DIR]",
              .description = "Back up a state folder that no broker serves.",
              ROWS(backup_rows)},
     .check = check_backup,
     .run = run_backup},
    {.name = "verify-backup",
     .page = {.program = "touchbusd verify-backup",
              .synopsis = "--from DIR [--keys DIR] [--scratch DIR]",
              .description = "Check a backup: files, blocks, cursors, view.",
              ROWS(verify_rows)},
     .check = check_verify,
     .run = run_verify},
    {.name = "restore",
     .page = {.program = "touchbusd restore",
              .synopsis = "--from DIR --keys DIR --state DIR [--force] [--replace]",
              .description = "Make a state folder of a backup and of the newest keys.",
              ROWS(restore_rows)},
     .check = check_restore,
     .run = run_restore},
};

static const struct task *find(const char *name) {
    for (size_t i = 0; i < sizeof(tasks) / sizeof(tasks[0]); i++) {
        if (strcmp(tasks[i].name, name) == 0) {
            return &tasks[i];
        }
    }
    return NULL;
}

bool offline_is_task(const char *name) {
    return find(name) != NULL;
}

int offline_run(int argc, char **argv) {
    const struct task *task = find(argv[0]);
    struct offline conf = {.state = NULL};
    logging_init("touchbusd", LOGGING_WARNING);
    int r = options_parse(&task->page, &conf, argc, argv, NULL);
    if (r != 0) {
        return r == OPTIONS_DONE ? EXIT_SUCCESS : EXIT_USAGE;
    }
    int status = EXIT_USAGE;
    if (task->check(&conf)) {
        status = task->run(&conf);
    } else {
        fprintf(stderr, "%s: usage: %s %s\n", task->page.program, task->page.program,
                task->page.synopsis);
    }
    options_clear(&task->page, &conf);
    return status;
}

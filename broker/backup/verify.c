// SPDX-License-Identifier: Apache-2.0
// Is a backup what it was when it was made? The files' checksums find every flipped bit; what lies
// in the stores is then read to say where, and that its parts fit each other. That is done in a
// process of its own: what LMDB does with a damaged file, nobody knows. It writes nothing but the
// scratch folder.
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/backup/backup.h"
#include "broker/backup/cut.h"
#include "broker/backup/manifest.h"
#include "broker/fold/fold.h"
#include "broker/stores/rehash.h"
#include "delivery.pb-c.h"
#include "schemas/base/clock.h"
#include "schemas/limits.h"

enum { EXIT_SOUND = 0, EXIT_NO = 1, TELL_MS = 300, DAMAGE_LINES_MAX = 1000 };

struct verify {
    const char *dir, *keys_dir, *scratch;
    FILE *out;
    const json_t *manifest;
    struct log *log;
    struct view *view;
    uint64_t first, next; // as the manifest has them
    uint64_t n_blocks, n_events, n_cursors, n_problems;
    const char *compared; // the verdict on the view
    int64_t told_us;
};

static void print(struct verify *verify, json_t *line) {
    char *text = line != NULL ? json_dumps(line, JSON_COMPACT) : NULL;
    if (text != NULL) {
        fprintf(verify->out, "%s\n", text);
        fflush(verify->out);
    }
    free(text);
    json_decref(line);
}

static void tell(struct verify *verify, const char *phase, uint64_t done, uint64_t total) {
    int64_t now_us = clock_monotonic_us();
    if (now_us - verify->told_us > TELL_MS * CLOCK_US_PER_MS) {
        verify->told_us = now_us;
        print(verify, json_pack("{s:s, s:I, s:I}", "phase", phase, "done", (json_int_t)done,
                                "total", (json_int_t)total));
    }
}

static void problem(struct verify *verify, const char *file, const char *what) {
    verify->n_problems++;
    print(verify, json_pack("{s:s, s:s}", "problem", what, "file", file));
}

static void problem_at(struct verify *verify, const char *what, uint64_t first, uint64_t next) {
    if (++verify->n_problems <= DAMAGE_LINES_MAX) {
        print(verify, json_pack("{s:s, s:s, s:I, s:I}", "problem", what, "file", "log/data.mdb",
                                "first", (json_int_t)first, "next", (json_int_t)next));
    }
}

static int join(const char *dir, const char *name, char ret[static PATH_MAX]) {
    int n = snprintf(ret, PATH_MAX, "%s/%s", dir, name);
    return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static uint64_t number(const json_t *manifest, const char *name) {
    return (uint64_t)json_integer_value(json_object_get(manifest, name));
}

// ---- the log

static int check_block(struct verify *verify, struct log_reader *reader, uint64_t *sequence) {
    struct block_head block;
    int r = log_reader_begin(reader);
    if (r < 0) {
        return r;
    }
    r = log_reader_block(reader, *sequence, &block);
    log_reader_end(reader);
    if (r < 0 && r != -EBADMSG) {
        return r;
    }
    uint64_t first = r == 1 ? verify->next : block.first;
    if (first > *sequence) {
        problem_at(verify, "events are missing", *sequence, first);
    }
    *sequence = first + (r == 1 ? 0 : block.n_events);
    if (r == -EBADMSG) {
        problem_at(verify, "a block is damaged", first, *sequence);
    } else if (r == 0) {
        verify->n_blocks++;
        verify->n_events += block.n_events;
    }
    return 0;
}

static int check_blocks(struct verify *verify) {
    struct log_reader *reader = NULL;
    uint64_t sequence = verify->first;
    int r = log_reader_new(verify->log, &reader);
    while (r == 0 && sequence < verify->next) {
        tell(verify, "events", sequence - verify->first, verify->next - verify->first);
        r = check_block(verify, reader, &sequence);
    }
    log_reader_free(reader);
    return r;
}

static int check_cursor(void *user, const void *key, size_t key_size, const void *value,
                        size_t size) {
    struct verify *verify = user;
    char name[NAME_BYTES_MAX + 1] = "";
    Delivery__SubscriptionRecord *record =
        key_size <= NAME_BYTES_MAX ? delivery__subscription_record__unpack(NULL, size, value)
                                   : NULL;
    if (record == NULL) {
        problem(verify, "log/data.mdb", "a subscription's record is damaged");
        return 0;
    }
    memcpy(name, key, key_size);
    verify->n_cursors++;
    const json_t *expected = json_object_get(json_object_get(verify->manifest, "cursors"), name);
    if (record->cursor >= verify->next) {
        problem(verify, "log/data.mdb", "a subscription's cursor lies beyond the log's end");
    } else if (!json_is_integer(expected) ||
               (uint64_t)json_integer_value(expected) != record->cursor) {
        problem(verify, "log/data.mdb", "a subscription's cursor is not the manifest's");
    }
    delivery__subscription_record__free_unpacked(record, NULL);
    return 0;
}

static int check_cursors(struct verify *verify) {
    struct log_reader *reader = NULL;
    int r = log_reader_new(verify->log, &reader);
    r = r == 0 ? log_reader_begin(reader) : r;
    if (r == 0) {
        r = log_reader_scan(reader, LOG_SUBSCRIPTIONS, NULL, 0, NULL, 0, check_cursor, verify);
        log_reader_end(reader);
    }
    log_reader_free(reader);
    if (verify->n_cursors != json_object_size(json_object_get(verify->manifest, "cursors"))) {
        problem(verify, "log/data.mdb", "not as many subscriptions as the manifest has");
    }
    return r < 0 ? r : 0;
}

static int check_log(struct verify *verify) {
    char path[PATH_MAX], incarnation[2 * INCARNATION_BYTES + 1];
    int r = join(verify->dir, "log", path);
    r = r == 0 ? log_open(path, 0, true, &verify->log) : r;
    if (r < 0) {
        return r;
    }
    sodium_bin2hex(incarnation, sizeof(incarnation), log_incarnation(verify->log),
                   INCARNATION_BYTES);
    const char *expected = json_string_value(json_object_get(verify->manifest, "incarnation"));
    if (expected == NULL || strcmp(expected, incarnation) != 0) {
        problem(verify, "log/data.mdb", "its incarnation is not the manifest's");
    }
    if (log_first(verify->log) != verify->first || log_next(verify->log) != verify->next) {
        problem(verify, "log/data.mdb", "it does not begin and end where the manifest says");
    }
    r = check_blocks(verify);
    return r == 0 ? check_cursors(verify) : r;
}

// ---- the folds

static int applied_of(const char *dir, const char *name, enum view_kind kind, struct view **ret,
                      uint64_t *ret_applied) {
    char path[PATH_MAX];
    struct view_txn *txn = NULL;
    int r = join(dir, name, path);
    r = r == 0 ? view_open(path, kind, 0, true, ret) : r;
    r = r == 0 ? view_begin(*ret, false, &txn) : r;
    if (r == 0) {
        *ret_applied = view_applied(txn);
        view_abort(txn);
    }
    return r;
}

static int check_folds(struct verify *verify) {
    struct view *base = NULL;
    uint64_t applied = 0;
    int r = applied_of(verify->dir, "base", VIEW_BASE, &base, &applied);
    view_close(base);
    if (r == 0 && (applied != number(verify->manifest, "base_applied") ||
                   applied + 1 < verify->first || applied >= verify->next)) {
        problem(verify, "base/data.mdb", "it does not end where the log begins");
    }
    r = r == 0 ? applied_of(verify->dir, "view", VIEW_LIVE, &verify->view, &applied) : r;
    if (r == 0 && applied + 1 != verify->next) {
        problem(verify, "view/data.mdb", "it does not end where the log ends");
    }
    return r;
}

static int hash_view(struct verify *verify, char ret[static 65]) {
    struct view_txn *txn = NULL;
    int r = view_begin(verify->view, false, &txn);
    if (r == 0) {
        r = view_hash(txn, ret);
        view_abort(txn);
    }
    return r;
}

static void tell_rehash(void *user, const char *phase, uint64_t done, uint64_t total) {
    tell(user, phase, done, total);
}

static int compare_view(struct verify *verify, struct keys *keys) {
    char base[PATH_MAX], found[65], folded[65];
    int r = join(verify->dir, "base", base);
    const struct rehash what = {.log = verify->log,
                                .keys = keys,
                                .base = base,
                                .scratch = verify->scratch,
                                .last = verify->next - 1,
                                .tell = tell_rehash,
                                .user = verify};
    r = r == 0 ? hash_view(verify, found) : r;
    r = r == 0 ? rehash(&what, folded) : r;
    if (r < 0) {
        return r;
    }
    bool equal = strcmp(found, folded) == 0;
    verify->compared = equal ? "equal" : "not equal";
    if (!equal) {
        problem(verify, "view/data.mdb", "it is not the fold of base and log");
    }
    return 0;
}

static int check_keys(struct verify *verify) {
    struct keys *keys = NULL;
    char id[65];
    int r = keys_open(verify->keys_dir, true, &keys);
    if (r < 0) {
        return r;
    }
    cut_keys_id(keys, id);
    const char *expected = json_string_value(json_object_get(verify->manifest, "keys_id"));
    if (expected == NULL || strcmp(id, expected) != 0) {
        problem(verify, verify->keys_dir, "the keys are of another state");
    } else if (keys_made(keys) <= number(verify->manifest, "customers")) {
        problem(verify, verify->keys_dir, "the keys are older than the log");
    } else if (keys_n_destroyed(keys) < number(verify->manifest, "keys_destroyed")) {
        problem(verify, verify->keys_dir, "the keys are from before an erasure that the log has");
    } else if (keys_n_destroyed(keys) > number(verify->manifest, "keys_destroyed")) {
        verify->compared = "not compared: keys were destroyed since";
    } else if (number(verify->manifest, "fold_version") != FOLD_VERSION) {
        verify->compared = "made by another fold version: its restore builds the view anew";
    } else {
        r = compare_view(verify, keys);
    }
    keys_close(keys);
    return r;
}

// ---- all of it

static const struct {
    const char *what;
    int (*check)(struct verify *verify);
} checks[] = {
    {"the log cannot be read", check_log},
    {"base or view cannot be read", check_folds},
};

static void check_stores(struct verify *verify) {
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof(checks) / sizeof(checks[0]); i++) {
        r = checks[i].check(verify);
        if (r < 0) {
            problem(verify, verify->dir, checks[i].what);
        }
    }
    if (r == 0 && verify->keys_dir != NULL && verify->n_problems == 0) {
        r = check_keys(verify);
        if (r < 0) {
            problem(verify, verify->keys_dir, "the keys cannot be read, or do not open the log");
        }
    }
    view_close(verify->view);
    log_close(verify->log);
}

static void conclude(struct verify *verify) {
    print(verify,
          json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "dir", verify->dir, "sound",
                    verify->n_problems == 0, "problems", (json_int_t)verify->n_problems, "first",
                    (json_int_t)verify->first, "next", (json_int_t)verify->next, "blocks",
                    (json_int_t)verify->n_blocks, "events", (json_int_t)verify->n_events, "cursors",
                    (json_int_t)verify->n_cursors, "view", verify->compared));
}

// Reading makes lock.mdb anew, which a backup has none of.
static void remove_locks(const char *dir) {
    static const char *const locks[] = {"log/lock.mdb", "base/lock.mdb", "view/lock.mdb"};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof(locks) / sizeof(locks[0]); i++) {
        if (join(dir, locks[i], path) == 0 && unlink(path) != 0 && errno != ENOENT) {
            return; // read-only: LMDB made none
        }
    }
}

static void check_stores_apart(struct verify *verify) {
    pid_t child = fork();
    if (child == 0) {
        check_stores(verify);
        conclude(verify);
        _exit(verify->n_problems == 0 ? EXIT_SOUND : EXIT_NO);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) < 0 || !WIFEXITED(status)) {
        problem(verify, verify->dir, "the stores could not be read to their end");
        conclude(verify);
    } else if (WEXITSTATUS(status) != EXIT_SOUND) {
        verify->n_problems++;
    }
}

static void file_problem(void *user, const char *path, const char *what) {
    problem(user, path, what);
}

static void tell_files(void *user, uint64_t done, uint64_t total) {
    tell(user, "files", done, total);
}

static void check_files(struct verify *verify, const char *dir, const json_t *manifest) {
    if (manifest_check_files(dir, manifest, file_problem, tell_files, verify) < 0) {
        problem(verify, dir, "its files cannot be listed");
    }
}

static bool is_of(const json_t *manifest, const char *what) {
    const char *found = json_string_value(json_object_get(manifest, "what"));
    return found != NULL && strcmp(found, what) == 0;
}

// A backup of keys alone has a manifest, too; the keys of a state folder have none.
static void check_keys_files(struct verify *verify, const char *dir, bool needed) {
    json_t *manifest = NULL;
    const char *why = "";
    char path[PATH_MAX];
    bool is_there = join(dir, MANIFEST_NAME, path) == 0 && access(path, F_OK) == 0;
    if (!is_there && !needed) {
        return;
    }
    if (manifest_read(dir, &manifest, &why) != 0) {
        problem(verify, dir, why);
        return;
    }
    check_files(verify, dir, manifest);
    json_decref(manifest);
}

// A folder of a name that nobody can guess in a place that others may write to.
static int make_scratch(const char *scratch, char parent[static PATH_MAX],
                        char ret_dir[static PATH_MAX]) {
    int n = snprintf(parent, PATH_MAX, "%s/touchbus-verify-XXXXXX", scratch);
    if (n < 0 || n + (int)sizeof("/view") > PATH_MAX || mkdtemp(parent) == NULL) {
        return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : -errno;
    }
    mempcpy(mempcpy(ret_dir, parent, (size_t)n), "/view", sizeof("/view"));
    return 0;
}

int backup_verify(const char *dir, const char *keys, const char *scratch, FILE *out) {
    char scratch_dir[PATH_MAX], scratch_parent[PATH_MAX];
    struct verify verify = {.dir = dir,
                            .keys_dir = keys,
                            .scratch = scratch_dir,
                            .out = out,
                            .compared = "not compared: it takes the keys"};
    json_t *manifest = NULL;
    const char *why = "";
    int r = make_scratch(scratch, scratch_parent, scratch_dir);
    if (r != 0) {
        problem(&verify, scratch, strerror(-r));
        conclude(&verify);
        return EXIT_NO;
    }
    if (manifest_read(dir, &manifest, &why) != 0) {
        problem(&verify, dir, why);
        conclude(&verify);
        rmdir(scratch_parent);
        return EXIT_NO;
    }
    verify.manifest = manifest;
    verify.first = number(manifest, "first");
    verify.next = number(manifest, "next");
    if (keys != NULL) {
        check_keys_files(&verify, keys, false);
    }
    check_files(&verify, dir, manifest);
    if (is_of(manifest, "keys")) {
        verify.compared = "there is none: a backup of keys";
        conclude(&verify);
    } else {
        check_stores_apart(&verify);
        remove_locks(dir);
    }
    json_decref(manifest);
    rmdir(scratch_parent);
    return verify.n_problems == 0 ? EXIT_SOUND : EXIT_NO;
}

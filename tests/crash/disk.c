// SPDX-License-Identifier: Apache-2.0
// See disk.h. LMDB's lock files and locks are left out: a cut ends them.
#include "disk.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chance.h"
#include "file.h"

enum { FOLDER = -1, ABSENT = -2 };

struct change {
    char kind; // + appears, - goes, r renamed
    uint32_t path, other;
    int what; // a file's number, FOLDER
};

struct disk {
    struct trace *trace;
    const char *unsynced;
    struct file **files;
    int n_files;
    int now[TRACE_PATHS_MAX], certain[TRACE_PATHS_MAX]; // path -> what is there
    struct change *pending;                             // not synced yet
    size_t n_pending;
};

static void apply_change(struct trace *trace, int *names, const struct change *change) {
    if (change->kind != 'r') {
        names[change->path] = change->kind == '+' ? change->what : ABSENT;
        return;
    }
    const char *from = trace->paths[change->path], *to = trace->paths[change->other];
    size_t length = strlen(from);
    uint32_t n_paths = trace->n_paths; // the targets may add some
    for (uint32_t i = 0; i < n_paths; i++) {
        const char *path = trace->paths[i];
        if (names[i] == ABSENT || strncmp(path, from, length) != 0 ||
            (path[length] != '\0' && path[length] != '/')) {
            continue;
        }
        char target[PATH_MAX];
        int size = snprintf(target, sizeof(target), "%s%s", to, path + length);
        uint32_t other = trace_path(trace, target, (size_t)size);
        names[other] = names[i];
        names[i] = ABSENT;
    }
}

static void change(struct disk *disk, struct change change) {
    apply_change(disk->trace, disk->now, &change);
    disk->pending = file_more(disk->pending, disk->n_pending, sizeof(*disk->pending));
    disk->pending[disk->n_pending++] = change;
}

static void sync_folder(struct disk *disk) {
    for (size_t i = 0; i < disk->n_pending; i++) {
        apply_change(disk->trace, disk->certain, &disk->pending[i]);
    }
    free(disk->pending);
    disk->pending = NULL;
    disk->n_pending = 0;
}

static int make_file(struct disk *disk) {
    disk->files = file_more(disk->files, (size_t)disk->n_files, sizeof(struct file *));
    disk->files[disk->n_files] = file_new();
    return disk->n_files++;
}

struct disk *disk_new(struct trace *trace, const char *unsynced) {
    struct disk *disk = calloc(1, sizeof(*disk));
    if (disk == NULL) {
        abort();
    }
    disk->trace = trace;
    disk->unsynced = unsynced;
    for (size_t i = 0; i < TRACE_PATHS_MAX; i++) {
        disk->now[i] = disk->certain[i] = ABSENT;
    }
    return disk;
}

struct disk *disk_free(struct disk *disk) {
    if (disk != NULL) {
        for (int i = 0; i < disk->n_files; i++) {
            file_free(disk->files[i]);
        }
        free(disk->files);
        free(disk->pending);
        free(disk);
    }
    return NULL;
}

static bool is_left_out(const struct disk *disk, uint32_t path) {
    return disk->unsynced != NULL &&
           strncmp(disk->trace->paths[path], disk->unsynced, strlen(disk->unsynced)) == 0;
}

void disk_apply(struct disk *disk, const struct trace_op *op) {
    int what = disk->now[op->path];
    struct file *file = what >= 0 ? disk->files[what] : NULL;
    bool counts = !is_left_out(disk, op->path);
    if ((op->kind == 'w' || op->kind == 'W') && file != NULL) {
        file_write(file, op, op->kind == 'W' && counts);
    } else if (op->kind == 's' && file != NULL && counts) {
        file_sync(file);
    } else if (op->kind == 't' && file != NULL) {
        file_truncate(file, op->offset);
    } else if (op->kind == 'D' && counts) {
        sync_folder(disk);
    } else if (op->kind == 'c') {
        change(disk, (struct change){.kind = '+', .path = op->path, .what = make_file(disk)});
    } else if (op->kind == 'm') {
        change(disk, (struct change){.kind = '+', .path = op->path, .what = FOLDER});
    } else if (op->kind == 'u') {
        change(disk, (struct change){.kind = '-', .path = op->path});
    } else if (op->kind == 'r') {
        change(disk, (struct change){.kind = 'r', .path = op->path, .other = op->other});
    }
}

// ---- a cut

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static bool is_kept(const char *path) {
    return !ends_with(path, "lock.mdb") && !ends_with(path, "ballast");
}

struct place {
    const char *path;
    int what;
};

static int by_path(const void *a, const void *b) {
    return strcmp(((const struct place *)a)->path, ((const struct place *)b)->path);
}

// What is there, folders before what is in them.
static size_t list(struct disk *disk, const int *names, struct place *places) {
    size_t n = 0;
    for (uint32_t i = 0; i < disk->trace->n_paths; i++) {
        if (names[i] != ABSENT && is_kept(disk->trace->paths[i]) && *disk->trace->paths[i] != 0) {
            places[n++] = (struct place){disk->trace->paths[i], names[i]};
        }
    }
    qsort(places, n, sizeof(*places), by_path);
    return n;
}

void disk_cut(struct disk *disk, uint64_t seed, const char *folder) {
    static int names[TRACE_PATHS_MAX];
    static struct place places[TRACE_PATHS_MAX];
    memcpy(names, disk->certain, sizeof(names));
    size_t n_changes = (size_t)chance_below(&seed, disk->n_pending + 1);
    for (size_t i = 0; i < n_changes; i++) {
        apply_change(disk->trace, names, &disk->pending[i]);
    }
    size_t n = list(disk, names, places);
    int r = mkdir(folder, 0700);
    for (size_t i = 0; r == 0 && i < n; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof(path), "%s/%s", folder, places[i].path);
        if (places[i].what == FOLDER) {
            r = mkdir(path, 0700);
        } else {
            file_cut(disk->files[places[i].what], &seed, path);
        }
    }
    if (r != 0) {
        perror(folder);
        exit(2);
    }
}

bool disk_equals(struct disk *disk, const char *folder) {
    static struct place places[TRACE_PATHS_MAX];
    size_t n = list(disk, disk->now, places);
    for (size_t i = 0; i < n; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof(path), "%s/%s", folder, places[i].path);
        // Locks name their process through a stream, which is not recorded; nobody reads that.
        if (places[i].what >= 0 && !ends_with(path, "lock") && !ends_with(path, "readers") &&
            !file_equals(disk->files[places[i].what], path)) {
            fprintf(stderr, "the record of %s is not what lies there\n", places[i].path);
            return false;
        }
    }
    return n > 0;
}

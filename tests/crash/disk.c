// SPDX-License-Identifier: Apache-2.0
// See disk.h. Of each file two images are kept, as written and as synced, and of each page written
// since the last sync all its versions. LMDB's lock files and locks are left out: a cut ends them.
#include "disk.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096, SECTOR = 512, FOLDER = -1, ABSENT = -2, TORN_OF_10 = 2 };

struct image {
    uint8_t *bytes; // zeros from size to capacity
    size_t size, capacity;
};

struct page {
    uint8_t **versions;
    uint32_t n;
};

struct file {
    struct image now, disk;
    struct page *pages;
    size_t n_pages;
    uint32_t *dirty; // pages with versions
    size_t n_dirty;
    size_t *sizes; // since the last sync
    size_t n_sizes;
};

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

uint64_t disk_random(uint64_t *seed) { // splitmix64
    uint64_t z = *seed += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

uint64_t disk_below(uint64_t *seed, uint64_t n) {
    return disk_random(seed) % n;
}

// Room for one more at the end of an array that doubles at powers of two.
static void *more(void *array, size_t n, size_t bytes) {
    if ((n & (n - 1)) == 0) {
        array = reallocarray(array, n == 0 ? 1 : 2 * n, bytes);
        if (array == NULL) {
            abort();
        }
    }
    return array;
}

// ---- files

static void image_reach(struct image *image, size_t size) {
    if (size > image->capacity) {
        size_t capacity = 2 * size + PAGE;
        image->bytes = realloc(image->bytes, capacity);
        if (image->bytes == NULL) {
            abort();
        }
        memset(image->bytes + image->capacity, 0, capacity - image->capacity);
        image->capacity = capacity;
    }
    image->size = size > image->size ? size : image->size;
}

static void image_cut(struct image *image, size_t size) {
    if (size < image->size) {
        memset(image->bytes + size, 0, image->size - size);
        image->size = size;
    }
}

// A whole page of an image, zeros where it ends.
static const uint8_t *image_page(struct image *image, uint32_t number) {
    size_t kept = image->size;
    image_reach(image, ((size_t)number + 1) * PAGE);
    image->size = kept;
    return image->bytes + (size_t)number * PAGE;
}

static void file_note(struct file *file, uint32_t number) {
    while (number >= file->n_pages) {
        file->pages = more(file->pages, file->n_pages, sizeof(*file->pages));
        file->pages[file->n_pages++] = (struct page){.n = 0};
    }
    struct page *page = &file->pages[number];
    uint8_t *copy = malloc(PAGE);
    if (copy == NULL) {
        abort();
    }
    memcpy(copy, image_page(&file->now, number), PAGE);
    if (page->n == 0) {
        file->dirty = more(file->dirty, file->n_dirty, sizeof(*file->dirty));
        file->dirty[file->n_dirty++] = number;
    }
    page->versions = more(page->versions, page->n, sizeof(*page->versions));
    page->versions[page->n++] = copy;
}

static void file_note_size(struct file *file) {
    file->sizes = more(file->sizes, file->n_sizes, sizeof(*file->sizes));
    file->sizes[file->n_sizes++] = file->now.size;
}

static void page_clear(struct page *page) {
    for (uint32_t i = 0; i < page->n; i++) {
        free(page->versions[i]);
    }
    free(page->versions);
    *page = (struct page){.n = 0};
}

static void file_sync(struct file *file) {
    for (size_t i = 0; i < file->n_dirty; i++) {
        uint32_t number = file->dirty[i];
        const uint8_t *page = image_page(&file->now, number);
        image_page(&file->disk, number);
        memcpy(file->disk.bytes + (size_t)number * PAGE, page, PAGE);
        page_clear(&file->pages[number]);
    }
    file->disk.size = file->now.size;
    file->n_dirty = file->n_sizes = 0;
    free(file->dirty);
    free(file->sizes);
    file->dirty = NULL;
    file->sizes = NULL;
}

// This range only is on disk, in whichever version of its pages.
static void file_make_certain(struct file *file, size_t offset, const uint8_t *data, size_t size) {
    image_reach(&file->disk, offset + size);
    memcpy(file->disk.bytes + offset, data, size);
    for (size_t at = offset; at < offset + size;) {
        size_t number = at / PAGE, page_end = (number + 1) * PAGE;
        size_t end = page_end < offset + size ? page_end : offset + size;
        for (uint32_t i = 0; i < file->pages[number].n; i++) {
            memcpy(file->pages[number].versions[i] + at % PAGE, data + (at - offset), end - at);
        }
        at = end;
    }
}

static void file_write(struct file *file, const struct trace_op *op, bool synchronous) {
    size_t before = file->now.size;
    image_reach(&file->now, op->offset + op->size);
    memcpy(file->now.bytes + op->offset, op->data, op->size);
    for (size_t n = op->offset / PAGE; n * PAGE < op->offset + op->size; n++) {
        file_note(file, (uint32_t)n);
    }
    if (file->now.size > before) {
        file_note_size(file);
    }
    if (synchronous) {
        file_make_certain(file, op->offset, op->data, op->size);
    }
}

static void file_truncate(struct file *file, size_t size) {
    size_t before = file->now.size;
    image_cut(&file->now, size);
    image_reach(&file->now, size);
    for (size_t n = size / PAGE; n * PAGE < before; n++) {
        file_note(file, (uint32_t)n);
    }
    file_note_size(file);
}

static struct file *file_free(struct file *file) {
    for (size_t i = 0; i < file->n_dirty; i++) {
        page_clear(&file->pages[file->dirty[i]]);
    }
    free(file->pages);
    free(file->dirty);
    free(file->sizes);
    free(file->now.bytes);
    free(file->disk.bytes);
    free(file);
    return NULL;
}

// ---- the folder

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
    disk->pending = more(disk->pending, disk->n_pending, sizeof(*disk->pending));
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
    disk->files = more(disk->files, (size_t)disk->n_files, sizeof(struct file *));
    disk->files[disk->n_files] = calloc(1, sizeof(struct file));
    if (disk->files[disk->n_files] == NULL) {
        abort();
    }
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

// What of the page is there.
static void cut_page(const struct page *versions, uint64_t *seed, const uint8_t *synced,
                     uint8_t *ret) {
    uint64_t one = disk_below(seed, versions->n + 1), other = one;
    if (disk_below(seed, 10) < TORN_OF_10) {
        other = disk_below(seed, versions->n + 1);
    }
    for (size_t at = 0; at < PAGE; at += SECTOR) {
        uint64_t pick = at > 0 && (disk_random(seed) & 1) != 0 ? other : one;
        memcpy(ret + at, (pick == 0 ? synced : versions->versions[pick - 1]) + at, SECTOR);
    }
}

static void write_out(const char *path, const uint8_t *bytes, size_t size) {
    int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    for (size_t at = 0; descriptor >= 0 && at < size;) {
        ssize_t n = write(descriptor, bytes + at, size - at);
        if (n <= 0) {
            descriptor = -1;
            break;
        }
        at += (size_t)n;
    }
    if (descriptor < 0 || close(descriptor) != 0) {
        perror(path);
        exit(2);
    }
}

static size_t size_after_cut(const struct file *file, uint64_t *seed) {
    uint64_t pick = disk_below(seed, file->n_sizes + 1);
    return pick == 0 ? file->disk.size : file->sizes[pick - 1];
}

static void cut_file(struct file *file, uint64_t *seed, const char *path) {
    static uint8_t *out; // one for all: the largest there was
    static size_t capacity;
    size_t size = size_after_cut(file, seed);
    size_t room = (size > file->now.size ? size : file->now.size) + file->disk.size + PAGE;
    if (room > capacity) {
        capacity = 2 * room;
        out = realloc(out, capacity);
        if (out == NULL) {
            abort();
        }
    }
    if (file->disk.size > 0) {
        memcpy(out, file->disk.bytes, file->disk.size);
    }
    if (size > file->disk.size) { // what a size alone adds reads as zeros
        memset(out + file->disk.size, 0, size - file->disk.size);
    }
    for (size_t i = 0; i < file->n_dirty; i++) {
        uint32_t number = file->dirty[i];
        size_t at = (size_t)number * PAGE;
        if (at < size) {
            cut_page(&file->pages[number], seed, image_page(&file->disk, number), out + at);
        }
    }
    write_out(path, out, size);
}

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
    size_t n_changes = (size_t)disk_below(&seed, disk->n_pending + 1);
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
            cut_file(disk->files[places[i].what], &seed, path);
        }
    }
    if (r != 0) {
        perror(folder);
        exit(2);
    }
}

static bool same(struct file *file, const char *path) {
    struct stat status;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    uint8_t *bytes = NULL;
    bool right = descriptor >= 0 && fstat(descriptor, &status) == 0 &&
                 (size_t)status.st_size == file->now.size &&
                 (bytes = malloc(file->now.size + 1)) != NULL &&
                 read(descriptor, bytes, file->now.size) == (ssize_t)file->now.size &&
                 (file->now.size == 0 || memcmp(bytes, file->now.bytes, file->now.size) == 0);
    free(bytes);
    if (descriptor >= 0) {
        close(descriptor);
    }
    return right;
}

bool disk_equals(struct disk *disk, const char *folder) {
    static struct place places[TRACE_PATHS_MAX];
    size_t n = list(disk, disk->now, places);
    for (size_t i = 0; i < n; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof(path), "%s/%s", folder, places[i].path);
        // Locks name their process through a stream, which is not recorded; nobody reads that.
        if (places[i].what >= 0 && !ends_with(path, "lock") && !ends_with(path, "readers") &&
            !same(disk->files[places[i].what], path)) {
            fprintf(stderr, "the record of %s is not what lies there\n", places[i].path);
            return false;
        }
    }
    return n > 0;
}

// SPDX-License-Identifier: Apache-2.0
// See file.h. Two images are kept, as written and as synced, and of each page written since the
// last sync all its versions.
#include "file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chance.h"

enum { PAGE = 4096, SECTOR = 512, TORN_OF_10 = 2 };

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

void *file_more(void *array, size_t n, size_t bytes) {
    if ((n & (n - 1)) == 0) {
        array = reallocarray(array, n == 0 ? 1 : 2 * n, bytes);
        if (array == NULL) {
            abort();
        }
    }
    return array;
}

struct file *file_new(void) {
    struct file *file = calloc(1, sizeof(*file));
    if (file == NULL) {
        abort();
    }
    return file;
}

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
        file->pages = file_more(file->pages, file->n_pages, sizeof(*file->pages));
        file->pages[file->n_pages++] = (struct page){.n = 0};
    }
    struct page *page = &file->pages[number];
    uint8_t *copy = malloc(PAGE);
    if (copy == NULL) {
        abort();
    }
    memcpy(copy, image_page(&file->now, number), PAGE);
    if (page->n == 0) {
        file->dirty = file_more(file->dirty, file->n_dirty, sizeof(*file->dirty));
        file->dirty[file->n_dirty++] = number;
    }
    page->versions = file_more(page->versions, page->n, sizeof(*page->versions));
    page->versions[page->n++] = copy;
}

static void file_note_size(struct file *file) {
    file->sizes = file_more(file->sizes, file->n_sizes, sizeof(*file->sizes));
    file->sizes[file->n_sizes++] = file->now.size;
}

static void page_clear(struct page *page) {
    for (uint32_t i = 0; i < page->n; i++) {
        free(page->versions[i]);
    }
    free(page->versions);
    *page = (struct page){.n = 0};
}

void file_sync(struct file *file) {
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
    for (size_t i = 0; i < file->n_sizes; i++) { // and the file reaches as far as that
        file->sizes[i] = file->sizes[i] > offset + size ? file->sizes[i] : offset + size;
    }
    for (size_t at = offset; at < offset + size;) {
        size_t number = at / PAGE, page_end = (number + 1) * PAGE;
        size_t end = page_end < offset + size ? page_end : offset + size;
        for (uint32_t i = 0; i < file->pages[number].n; i++) {
            memcpy(file->pages[number].versions[i] + at % PAGE, data + (at - offset), end - at);
        }
        at = end;
    }
}

void file_write(struct file *file, const struct trace_op *op, bool synchronous) {
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

void file_truncate(struct file *file, size_t size) {
    size_t before = file->now.size;
    image_cut(&file->now, size);
    image_reach(&file->now, size);
    for (size_t n = size / PAGE; n * PAGE < before; n++) {
        file_note(file, (uint32_t)n);
    }
    file_note_size(file);
}

struct file *file_free(struct file *file) {
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

// ---- a cut

// What of the page is there.
static void cut_page(const struct page *versions, uint64_t *seed, const uint8_t *synced,
                     uint8_t *ret) {
    uint64_t one = chance_below(seed, versions->n + 1), other = one;
    if (chance_below(seed, 10) < TORN_OF_10) {
        other = chance_below(seed, versions->n + 1);
    }
    for (size_t at = 0; at < PAGE; at += SECTOR) {
        uint64_t pick = at > 0 && (chance(seed) & 1) != 0 ? other : one;
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
    uint64_t pick = chance_below(seed, file->n_sizes + 1);
    return pick == 0 ? file->disk.size : file->sizes[pick - 1];
}

void file_cut(struct file *file, uint64_t *seed, const char *path) {
    static uint8_t *out; // one for all: the largest there was
    static size_t capacity;
    size_t size = size_after_cut(file, seed);
    size_t room = (size > file->now.size ? size : file->now.size) + file->disk.size + PAGE;
    if (out == NULL || room > capacity) {
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

bool file_equals(struct file *file, const char *path) {
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

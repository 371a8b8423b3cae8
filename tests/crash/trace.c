// SPDX-License-Identifier: Apache-2.0
// See trace.h. The format is record.c's: a fixed head, the path, the data.
#include "trace.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEAD_BYTES = 15 };

static void fail(const char *what, const char *file) {
    fprintf(stderr, "trace: %s: %s\n", file, what);
    exit(2);
}

// Mapped, not read: what is mapped from a file costs a fork nothing.
static const uint8_t *map_file(const char *path, size_t *ret_size) {
    struct stat status;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0 || fstat(descriptor, &status) != 0) {
        fail("cannot be read", path);
    }
    *ret_size = (size_t)status.st_size;
    if (*ret_size == 0) {
        fail("is empty", path);
    }
    void *bytes = mmap(NULL, *ret_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    close(descriptor);
    if (bytes == MAP_FAILED) {
        fail("cannot be mapped", path);
    }
    return bytes;
}

uint32_t trace_path(struct trace *trace, const char *path, size_t size) {
    for (uint32_t i = 0; i < trace->n_paths; i++) {
        if (strlen(trace->paths[i]) == size && memcmp(trace->paths[i], path, size) == 0) {
            return i;
        }
    }
    if (trace->n_paths == TRACE_PATHS_MAX) {
        fail("too many paths", "trace");
    }
    trace->paths[trace->n_paths] = strndup(path, size);
    return trace->n_paths++;
}

// One record at `at`; returns where the next one is.
static size_t read_op(struct trace *trace, size_t at, struct trace_op *op) {
    const uint8_t *head = trace->bytes + at;
    uint16_t path_size = 0;
    uint32_t size = 0;
    memcpy(&path_size, head + 1, sizeof(path_size));
    memcpy(&size, head + 3, sizeof(size));
    memcpy(&op->offset, head + 7, sizeof(op->offset));
    const uint8_t *path = head + HEAD_BYTES;
    op->kind = (char)head[0];
    op->path = trace_path(trace, (const char *)path, path_size);
    op->data = path + path_size;
    op->size = size;
    op->other = op->kind == 'r' ? trace_path(trace, (const char *)op->data, size) : 0;
    op->end = at + HEAD_BYTES + path_size + size;
    return (size_t)op->end;
}

static size_t record_bytes(const uint8_t *head, size_t left) {
    uint16_t path_size = 0;
    uint32_t size = 0;
    if (left < HEAD_BYTES) {
        return 0;
    }
    memcpy(&path_size, head + 1, sizeof(path_size));
    memcpy(&size, head + 3, sizeof(size));
    size_t all = HEAD_BYTES + (size_t)path_size + size;
    return all <= left ? all : 0;
}

struct trace *trace_read(const char *file) {
    struct trace *trace = calloc(1, sizeof(*trace));
    if (trace == NULL) {
        abort();
    }
    size_t size = 0, n = 0;
    trace->bytes = map_file(file, &size);
    trace->size = size;
    for (size_t at = 0; at < size; n++) {
        size_t bytes = record_bytes(trace->bytes + at, size - at);
        if (bytes == 0) {
            fail("ends within a record", file);
        }
        at += bytes;
    }
    trace->ops = calloc(n + 1, sizeof(*trace->ops));
    if (trace->ops == NULL) {
        abort();
    }
    for (size_t at = 0; trace->n_ops < n; trace->n_ops++) {
        at = read_op(trace, at, &trace->ops[trace->n_ops]);
    }
    return trace;
}

struct trace *trace_free(struct trace *trace) {
    if (trace != NULL) {
        for (uint32_t i = 0; i < trace->n_paths; i++) {
            free(trace->paths[i]);
        }
        free(trace->ops);
        munmap((void *)(uintptr_t)trace->bytes, trace->size);
        free(trace);
    }
    return NULL;
}

size_t trace_ops_before(const struct trace *trace, uint64_t offset) {
    size_t low = 0, high = trace->n_ops;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (trace->ops[middle].end <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

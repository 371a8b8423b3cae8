// SPDX-License-Identifier: Apache-2.0
// A trace as record.c wrote it, read once and kept: the operations in their order, paths as small
// numbers.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { TRACE_PATHS_MAX = 4096 };

struct trace_op {
    char kind; // w write, W synchronous write, s sync, D sync of a folder, t truncate, c create,
               // m make folder, u remove, r rename
    uint32_t path, other; // other: a rename's target
    uint64_t offset;      // of a write; the size of a truncate
    const uint8_t *data;
    size_t size;
    uint64_t end; // the trace's size with this operation
};

struct trace {
    const uint8_t *bytes;
    size_t size;
    struct trace_op *ops;
    size_t n_ops;
    char *paths[TRACE_PATHS_MAX];
    uint32_t n_paths;
};

// Ends the process where the file is not a trace.
struct trace *trace_read(const char *file);
struct trace *trace_free(struct trace *trace); // takes NULL; returns NULL
// The number of a path, which is given one where it has none.
uint32_t trace_path(struct trace *trace, const char *path, size_t size);
// How many operations lie before that offset of the file.
size_t trace_ops_before(const struct trace *trace, uint64_t offset);

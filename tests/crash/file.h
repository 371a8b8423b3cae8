// SPDX-License-Identifier: Apache-2.0
// One file of the simulated disk: what was synced, and of every 4 KiB page written since all its
// versions. After a cut each page is any one of them, or a mixture of two by sectors of 512 bytes,
// and the size any of those it had.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trace.h"

struct file;

struct file *file_new(void);
struct file *file_free(struct file *file);
// synchronous: what is written is on disk, in whichever version of its pages.
void file_write(struct file *file, const struct trace_op *op, bool synchronous);
void file_truncate(struct file *file, size_t size);
void file_sync(struct file *file);
// Writes what a power cut now could leave of it to path, which must not exist.
void file_cut(struct file *file, uint64_t *seed, const char *path);
// Whether what lies at path is what was written.
bool file_equals(struct file *file, const char *path);

// Room for one more at the end of an array of n that doubles at powers of two.
void *file_more(void *array, size_t n, size_t bytes);

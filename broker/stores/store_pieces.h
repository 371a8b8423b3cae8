// SPDX-License-Identifier: Apache-2.0
// The two system calls with which LMDB writes its file: cmake/lmdb.cmake gives its pwrite(2) and
// writev(2) these names, nobody else calls them. While somebody waits for an answer
// (scheduling_yields), a write goes in pieces of STORE_PIECE_BYTES and makes way between them: the
// kernel copies up to a megabyte at a time into its page cache, and with PREEMPT_NONE lets nobody
// on that processor meanwhile, not even who is at real-time priority; 1 to 2 ms in a virtual
// machine whose host has to find the memory first.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

enum { STORE_PIECE_BYTES = 64 << 10 };

// As pwrite(2): what was written, short of all where a piece failed; -1 and errno for the first.
ssize_t store_lmdb_pwrite(int fd, const void *bytes, size_t size, off_t at);
// As writev(2).
ssize_t store_lmdb_writev(int fd, const struct iovec *parts, int n);

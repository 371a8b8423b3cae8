// SPDX-License-Identifier: Apache-2.0
// The log's journal: what makes a commit of the log durable with one write. journal.md says how and
// why. While a log has one, its own file is not synced at commits; a thread takes points of it.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/stores/log.h"

struct log_journal;
struct journal_record;

// What dir's data file says of itself. 0; 1: it has no journal, and is whole as it is; negative
// errno. Before the store is opened: goes back to the journal's last point. -ESTALE: file and
// journal do not belong together; -ENODATA: the journal is missing.
int log_journal_restore(const char *dir, struct log_journal **ret);
// Behind the opening: takes in what the journal has. `journal` NULL: a new one is made; where there
// is no room for one *ret is NULL, and the log syncs its own file.
int log_journal_begin(struct log *log, const char *dir, struct log_journal *journal,
                      struct log_journal **ret);
struct log_journal *log_journal_drop(struct log_journal *journal); // what was not begun; takes NULL
// After the last commit. Leaves dir without a journal where all is well.
struct log_journal *log_journal_close(struct log_journal *journal); // takes NULL

// Around one commit: no point begins in between.
void log_journal_lock(struct log_journal *journal);
void log_journal_unlock(struct log_journal *journal);
// Within: on disk when it returns 0. -ENOSPC: nothing was written.
int log_journal_write(struct log_journal *journal, const struct journal_record *record);
// Within: whether a commit has to wait for a point; waits for one, and says whether it was taken.
bool log_journal_is_full(const struct log_journal *journal);
bool log_journal_make_room(struct log_journal *journal);

void log_journal_set_interval(struct log_journal *journal, int64_t interval_us);

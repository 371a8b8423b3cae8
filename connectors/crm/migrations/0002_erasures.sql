-- SPDX-License-Identifier: Apache-2.0
-- Which customers were erased, and whether the file was swept since: what a person left behind in free pages, the
-- write-ahead log and copies of other logs. No personal data.
CREATE TABLE erasures (
    customer INTEGER PRIMARY KEY,
    sequence INTEGER NOT NULL,
    received TEXT NOT NULL,
    swept INTEGER NOT NULL
) STRICT;

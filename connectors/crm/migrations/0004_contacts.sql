-- SPDX-License-Identifier: Apache-2.0
-- Contacts asked for and decided, cases, standing, the history of merges; where an attribute came from; who did it,
-- why and at what cost. What these say of events of before is not here: `touchbus subscription reset` fills it.
ALTER TABLE interactions ADD COLUMN actor TEXT;
ALTER TABLE interactions ADD COLUMN cause TEXT;
ALTER TABLE interactions ADD COLUMN cost TEXT; -- "1.20 EUR"
ALTER TABLE attributes ADD COLUMN source TEXT;

CREATE TABLE contacts (
    contact_id TEXT PRIMARY KEY,
    customer INTEGER,
    content_id TEXT,
    purpose TEXT,
    verdict TEXT,
    channel TEXT,
    reasons TEXT, -- a JSON list
    outcome TEXT,
    requested TEXT,
    decided TEXT,
    sequence INTEGER NOT NULL,
    outcome_sequence INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX contacts_customer ON contacts (customer);

CREATE TABLE cases (
    case_id TEXT PRIMARY KEY,
    customer INTEGER,
    state TEXT NOT NULL,
    kind TEXT,
    severity TEXT,
    outcome TEXT,
    opened TEXT,
    resolved TEXT,
    sequence INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX cases_customer ON cases (customer);

-- tier and phase of the relationship, as the broker judges them.
CREATE TABLE standings (
    customer INTEGER NOT NULL,
    what TEXT NOT NULL,
    value TEXT NOT NULL,
    since TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (customer, what)
) STRICT, WITHOUT ROWID;

-- Every merge and split there was; merges says what holds now. No personal data.
CREATE TABLE merge_history (
    sequence INTEGER PRIMARY KEY,
    leaf INTEGER NOT NULL,
    kind TEXT NOT NULL,
    into_customer INTEGER, -- NULL: a split
    other INTEGER NOT NULL,
    reason TEXT,
    time TEXT NOT NULL
) STRICT;
CREATE INDEX merge_history_leaf ON merge_history (leaf);

-- SPDX-License-Identifier: Apache-2.0
-- What the broker counted, by day (UTC), channel and tier: every event says what it added to the scorecard. Amounts are
-- millionths of the organisation's currency. Nothing personal; it stays when somebody is erased.
CREATE TABLE scorecard (
    day TEXT NOT NULL,
    channel TEXT NOT NULL,
    tier TEXT NOT NULL, -- the customer's when it happened; '': nobody's
    contacts INTEGER NOT NULL,
    handled INTEGER NOT NULL,
    abandoned INTEGER NOT NULL,
    resolved INTEGER NOT NULL,
    reopened INTEGER NOT NULL,
    suppressed INTEGER NOT NULL,
    orders INTEGER NOT NULL,
    unconverted INTEGER NOT NULL,
    ratings INTEGER NOT NULL,
    satisfaction_micro INTEGER NOT NULL,
    cost_micro INTEGER NOT NULL,
    revenue_micro INTEGER NOT NULL,
    margin_micro INTEGER NOT NULL,
    waiting_number INTEGER NOT NULL,
    waiting_us INTEGER NOT NULL,
    handling_number INTEGER NOT NULL,
    handling_us INTEGER NOT NULL,
    response_number INTEGER NOT NULL,
    response_us INTEGER NOT NULL,
    PRIMARY KEY (day, channel, tier)
) STRICT, WITHOUT ROWID;

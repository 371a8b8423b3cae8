-- SPDX-License-Identifier: Apache-2.0
-- The events that wait in the broker's quarantine now, at most 10,000 of them: what is wrong with each. `touchbus
-- quarantine show ID` shows the event itself.
CREATE TABLE quarantined (
    id text COLLATE "C" PRIMARY KEY, -- for touchbus quarantine show, fix and drop
    type text NOT NULL,
    source text NOT NULL,
    producer text NOT NULL,
    detail text NOT NULL,
    received timestamptz NOT NULL,
    seen timestamptz NOT NULL DEFAULT now()
);

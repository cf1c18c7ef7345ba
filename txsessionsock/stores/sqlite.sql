-- A row without raw is a tombstone: it tells other processes that the session
-- ended, and goes when it expires.

CREATE TABLE sessions (
    key TEXT NOT NULL PRIMARY KEY,
    raw BLOB,
    expires REAL,                -- seconds since the epoch, NULL for never
    change INTEGER NOT NULL      -- the number of the transaction that wrote it
);

CREATE INDEX sessions_change ON sessions (change);

CREATE INDEX sessions_expires ON sessions (expires) WHERE expires IS NOT NULL;

CREATE TABLE state (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    change INTEGER NOT NULL,     -- the last number given out
    swept INTEGER NOT NULL       -- the highest number of a tombstone that went
);

INSERT INTO state (id, change, swept) VALUES (1, 0, 0);

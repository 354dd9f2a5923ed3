-- Shift and people: what is written into the logbook, hand-overs, who was signed on where. Times are microseconds UTC. The last of times
-- (9223372036854775807) is the end of what lasts.

-- Which requests have been done, so that one that is sent again is not done again, and no other is done under its key.
CREATE TABLE resource_key (
    key     BLOB    PRIMARY KEY CHECK (length(key) = 16),
    content BLOB    NOT NULL CHECK (length(content) = 32), -- the digest of what was asked
    number  INTEGER NOT NULL, -- of the entry, or of the sign-on, that it made or changed
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The logbook. Entries are never changed and never deleted: one that is wrong is corrected by another, and by one only.
CREATE TABLE logbook_entry (
    number     INTEGER PRIMARY KEY CHECK (number > 0),
    path       TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    text       TEXT    NOT NULL,
    fold       TEXT    NOT NULL, -- the text in lower case: what a search looks at
    links      TEXT    NOT NULL, -- a JSON object
    at         INTEGER NOT NULL,
    by_id      BLOB    NOT NULL,
    shift_name TEXT,
    shift_from INTEGER,
    shift_to   INTEGER,
    pinned     INTEGER NOT NULL CHECK (pinned IN (0, 1)),
    corrects   INTEGER UNIQUE REFERENCES logbook_entry (number),
    event      BLOB    NOT NULL
) STRICT;
-- Where an entry stands, with every branch above: what a branch and a right are looked up by, the newest first.
CREATE TABLE logbook_branch (
    branch TEXT    NOT NULL,
    entry  INTEGER NOT NULL REFERENCES logbook_entry (number),
    kind   TEXT    NOT NULL,
    PRIMARY KEY (branch, entry)
) STRICT, WITHOUT ROWID;
CREATE INDEX logbook_branch_by_kind ON logbook_branch (branch, kind, entry);
-- What is still to be handed over, and hand-overs that nobody has confirmed, likewise.
CREATE TABLE logbook_open (
    branch TEXT    NOT NULL,
    entry  INTEGER NOT NULL REFERENCES logbook_entry (number),
    kind   TEXT    NOT NULL,
    PRIMARY KEY (branch, entry)
) STRICT, WITHOUT ROWID;
CREATE INDEX logbook_open_by_entry ON logbook_open (entry);

-- What a hand-over told, and who confirmed it.
CREATE TABLE handover (
    entry        INTEGER PRIMARY KEY REFERENCES logbook_entry (number),
    items        TEXT    NOT NULL, -- JSON: what was open then
    truncated    INTEGER NOT NULL CHECK (truncated IN (0, 1)), -- there was more
    kept         TEXT    NOT NULL, -- JSON: the entries that stay open
    confirmed_at INTEGER,
    confirmed_by BLOB,
    note         TEXT    NOT NULL
) STRICT;

-- Who was signed on where, from when to when. Put right by supervisors; what stood there before is in labour_correction.
CREATE TABLE labour_span (
    number  INTEGER PRIMARY KEY CHECK (number > 0),
    person  BLOB    NOT NULL,
    path    TEXT    NOT NULL,
    from_at INTEGER NOT NULL,
    to_at   INTEGER NOT NULL CHECK (to_at >= from_at),
    ends_by INTEGER NOT NULL CHECK (ends_by > from_at), -- when it ends if nobody ends it
    ended   TEXT    CHECK (ended IN ('self', 'elsewhere', 'rule', 'supervisor')), -- null: it lasts
    event   BLOB    NOT NULL
) STRICT;
CREATE INDEX labour_span_by_person ON labour_span (person, to_at);
CREATE INDEX labour_span_by_end ON labour_span (to_at);
-- Whatever a program does: a person is signed on at one place at a time.
CREATE UNIQUE INDEX labour_span_one_of_a_person ON labour_span (person) WHERE to_at = 9223372036854775807;

CREATE TABLE labour_correction (
    number   INTEGER PRIMARY KEY CHECK (number > 0),
    span     INTEGER NOT NULL REFERENCES labour_span (number),
    at       INTEGER NOT NULL,
    by_id    BLOB    NOT NULL,
    was_from INTEGER NOT NULL,
    was_to   INTEGER NOT NULL,
    reason   TEXT    NOT NULL,
    event    BLOB    NOT NULL
) STRICT;
CREATE INDEX labour_correction_by_span ON labour_correction (span, number);

-- Who sees each person of a branch, and puts their times right. It goes with the person.
CREATE TABLE labour_supervisor (
    person BLOB NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    branch TEXT NOT NULL,
    PRIMARY KEY (person, branch)
) STRICT, WITHOUT ROWID;

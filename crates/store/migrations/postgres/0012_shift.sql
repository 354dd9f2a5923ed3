-- Shift and people: what is written into the logbook, hand-overs, who was signed on where. Times are microseconds UTC. The last of times
-- (9223372036854775807) is the end of what lasts.

-- Which requests have been done, so that one that is sent again is not done again, and no other is done under its key.
CREATE TABLE resource_key (
    key     BYTEA    PRIMARY KEY CHECK (length(key) = 16),
    content BYTEA    NOT NULL CHECK (length(content) = 32), -- the digest of what was asked
    number  BIGINT NOT NULL, -- of the entry, or of the sign-on, that it made or changed
    at      BIGINT NOT NULL
);

-- The logbook. Entries are never changed and never deleted: one that is wrong is corrected by another, and by one only.
CREATE TABLE logbook_entry (
    number     BIGINT PRIMARY KEY CHECK (number > 0),
    path       TEXT COLLATE "C" NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL,
    text       TEXT COLLATE "C" NOT NULL,
    fold       TEXT COLLATE "C" NOT NULL, -- the text in lower case: what a search looks at
    links      TEXT COLLATE "C" NOT NULL, -- a JSON object
    at         BIGINT NOT NULL,
    by_id      BYTEA    NOT NULL,
    shift_name TEXT COLLATE "C",
    shift_from BIGINT,
    shift_to   BIGINT,
    pinned     BIGINT NOT NULL CHECK (pinned IN (0, 1)),
    corrects   BIGINT UNIQUE REFERENCES logbook_entry (number),
    event      BYTEA    NOT NULL
);
-- Where an entry stands, with every branch above: what a branch and a right are looked up by, the newest first.
CREATE TABLE logbook_branch (
    branch TEXT COLLATE "C" NOT NULL,
    entry  BIGINT NOT NULL REFERENCES logbook_entry (number),
    kind   TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (branch, entry)
);
CREATE INDEX logbook_branch_by_kind ON logbook_branch (branch, kind, entry);
-- What is still to be handed over, and hand-overs that nobody has confirmed, likewise.
CREATE TABLE logbook_open (
    branch TEXT COLLATE "C" NOT NULL,
    entry  BIGINT NOT NULL REFERENCES logbook_entry (number),
    kind   TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (branch, entry)
);
CREATE INDEX logbook_open_by_entry ON logbook_open (entry);

-- What a hand-over told, and who confirmed it.
CREATE TABLE handover (
    entry        BIGINT PRIMARY KEY REFERENCES logbook_entry (number),
    items        TEXT COLLATE "C" NOT NULL, -- JSON: what was open then
    truncated    BIGINT NOT NULL CHECK (truncated IN (0, 1)), -- there was more
    kept         TEXT COLLATE "C" NOT NULL, -- JSON: the entries that stay open
    confirmed_at BIGINT,
    confirmed_by BYTEA,
    note         TEXT COLLATE "C" NOT NULL
);

-- Who was signed on where, from when to when. Put right by supervisors; what stood there before is in labour_correction.
CREATE TABLE labour_span (
    number  BIGINT PRIMARY KEY CHECK (number > 0),
    person  BYTEA    NOT NULL,
    path    TEXT COLLATE "C" NOT NULL,
    from_at BIGINT NOT NULL,
    to_at   BIGINT NOT NULL CHECK (to_at >= from_at),
    ends_by BIGINT NOT NULL CHECK (ends_by > from_at), -- when it ends if nobody ends it
    ended   TEXT COLLATE "C" CHECK (ended IN ('self', 'elsewhere', 'rule', 'supervisor')), -- null: it lasts
    event   BYTEA    NOT NULL
);
CREATE INDEX labour_span_by_person ON labour_span (person, to_at);
CREATE INDEX labour_span_by_end ON labour_span (to_at);
-- Whatever a program does: a person is signed on at one place at a time.
CREATE UNIQUE INDEX labour_span_one_of_a_person ON labour_span (person) WHERE to_at = 9223372036854775807;

CREATE TABLE labour_correction (
    number   BIGINT PRIMARY KEY CHECK (number > 0),
    span     BIGINT NOT NULL REFERENCES labour_span (number),
    at       BIGINT NOT NULL,
    by_id    BYTEA    NOT NULL,
    was_from BIGINT NOT NULL,
    was_to   BIGINT NOT NULL,
    reason   TEXT COLLATE "C" NOT NULL,
    event    BYTEA    NOT NULL
);
CREATE INDEX labour_correction_by_span ON labour_correction (span, number);

-- Who sees each person of a branch, and puts their times right. It goes with the person.
CREATE TABLE labour_supervisor (
    person BYTEA NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    branch TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (person, branch)
);

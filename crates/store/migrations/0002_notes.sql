-- The time that a note is about, in microseconds since 1970; NULL for all other events, whose time is `at`.
ALTER TABLE timeline ADD COLUMN about INTEGER;
CREATE INDEX timeline_by_note ON timeline (about) WHERE about IS NOT NULL;

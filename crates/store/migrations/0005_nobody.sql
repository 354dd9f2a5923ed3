-- What makes up the SCRAM salts of device names that there are not: 256 random bits, one row, never changed. Kept, so that
-- these salts stay as those of devices do.
CREATE TABLE nobody (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    key BLOB NOT NULL CHECK (length(key) = 32)
) STRICT;
INSERT INTO nobody (one, key) VALUES (1, randomblob(32));

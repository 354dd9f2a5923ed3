-- The certificate that a device shows: its common name, or its SHA-256 in hexadecimal; NULL: none is asked for.
ALTER TABLE device ADD COLUMN certificate TEXT;
CREATE UNIQUE INDEX device_by_certificate ON device (certificate) WHERE certificate IS NOT NULL;

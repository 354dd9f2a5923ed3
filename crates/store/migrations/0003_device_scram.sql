-- What checks a device's password by SCRAM-SHA-256; NULL: the credential was made before there was that.
ALTER TABLE device ADD COLUMN scram TEXT;

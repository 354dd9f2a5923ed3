-- The certificate that was entered for a device, whole (DER), for people to see; NULL: its name alone was given.
ALTER TABLE device ADD COLUMN certificate_der BLOB CHECK (length(certificate_der) <= 16384);

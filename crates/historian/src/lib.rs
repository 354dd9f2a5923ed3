//! Columns, segments and range reads: a reader of the log.

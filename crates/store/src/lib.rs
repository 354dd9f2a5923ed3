//! Relational records: SQLite behind a trait, migrations, the outbox.

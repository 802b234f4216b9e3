//! Incremental backups: what is reused, and what is copied.

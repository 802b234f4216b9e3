//! Readers beside backups, and what waits for them.

//! Backups and restores of some databases.

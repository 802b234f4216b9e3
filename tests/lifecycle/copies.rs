//! Copies of backups to another target.

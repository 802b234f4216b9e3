//! Labels, notes, and lists of many backups.

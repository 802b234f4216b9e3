//! Backups whose databases go to several targets.

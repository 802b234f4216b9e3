//! Deleting backups whose files others need.

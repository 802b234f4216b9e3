//! What stops Arc 27.01 from starting, its keys, and `arc.toml` without secrets.

mod own_table;
mod redacted;
mod refusals;
mod rewritten;

//! What stops Arc 27.01 from starting, its keys, and `arc.toml` without secrets.

//! Prune, pins and retention rules, from outside.

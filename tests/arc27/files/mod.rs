//! Arc's list of files with checksums, owners, and the Iceberg warehouse.

mod arcs;
mod iceberg;
mod ours;
mod owners;
mod skipped;
mod stores;
mod warehouse;

/// The SHA-256 of `bytes`, in hex digits.
fn sha256(bytes: &[u8]) -> String {
    arc_backup::core::Digest::of(bytes).to_string()
}

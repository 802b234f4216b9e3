//! Arc's list of files with checksums, owners, and the Iceberg warehouse.

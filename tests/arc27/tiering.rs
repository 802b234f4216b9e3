//! Arc's cold tier, restores that Arc has staged, and nodes of clusters.

mod cluster;
mod pending;

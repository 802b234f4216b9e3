//! Arc's cold tier, restores that Arc has staged, and nodes of clusters.

mod backed_up;
mod cluster;
mod interrupted;
mod moved;
mod moving;
mod nested;
mod pending;
mod scoped;
mod set_aside;
mod tiers;

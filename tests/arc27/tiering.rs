//! The cold tier, clusters, and databases that Arc has staged.

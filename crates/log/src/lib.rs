//! The durable log: three lanes, segments, group commit, offsets, snapshots.

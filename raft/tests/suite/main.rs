//! The replicator's promises, as tests with a toy machine. One suite for every implementation.
//!
//! Not here: formats (pinned beside their code). Must always hold: nothing here waits for time (the simulation lets it pass).

#![expect(clippy::unwrap_used, reason = "a test that cannot set its stage must fail")]

mod cluster;
mod crash;
mod damage;
mod disk;
mod fsync;
mod load;
mod machine;
mod member_crash;
mod member_damage;
mod members;
mod net;
mod offline;
mod one_voter;
mod reads;
mod scripts;
mod simulation;
mod sockets;
mod synced;
mod trace;

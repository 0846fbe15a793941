//! Real sockets on the real kernel: each test makes its own traffic in a network namespace of its own, and
//! looks for that in what a running connledger writes. Needs root.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod accept_races;
mod accepting;
mod accepting_early;
mod accepting_early_unseen;
mod accepting_late;
mod accepting_mptcp;
mod accepting_uring;
mod again;
mod before_syn;
mod books;
mod bound;
mod calls;
mod cgroups;
mod closing;
mod connecting;
mod coverage;
mod deaths;
mod endings;
mod endings_by_hand;
mod fast_open;
mod filters;
mod following_io;
mod given_up;
mod handed_on;
mod hands;
mod local_resets;
mod loss;
mod meant;
mod multipath;
mod namespace;
mod on_request;
mod opening;
mod opening_busy;
mod opening_shut_down;
mod pairs;
mod pending_errors;
mod processes;
mod refusing;
mod resets;
mod resets_on_request;
mod scene;
mod servers;
#[path = "../support/skip.rs"]
mod skip;
mod sockets;
mod spinning;
mod starting;
mod stateless;
mod timeouts;
mod times;
mod together;
#[path = "../support/tracefs.rs"]
mod tracefs;
mod tracer;
mod turn;
mod unanswered;
mod uring;
mod wakeups;
mod wire;
#[path = "../support/witness.rs"]
mod witness;

pub use skip::can_trace;

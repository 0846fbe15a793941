//! connledger as a service: of a real systemd, in a Debian that is booted for it (support/machine.rs), and of a socket
//! that plays systemd's part. Needs root, and what `make test` installs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../support/machine.rs"]
#[allow(dead_code, reason = "the packages' tests need the rest")]
mod machine;
#[path = "../kernel/namespace.rs"]
#[allow(dead_code, reason = "the kernel tests use the rest")]
mod namespace;
#[path = "../outputs/scene.rs"]
#[allow(dead_code, reason = "the tests of the outputs use the rest")]
mod scene;
#[path = "../support/skip.rs"]
mod skip;
#[path = "../support/tracefs.rs"]
#[allow(dead_code, reason = "the tests of the privileges need the rest")]
mod tracefs;
#[path = "../kernel/turn.rs"]
mod turn;
#[path = "../support/witness.rs"]
mod witness;

mod installed;
mod life;
mod manager;
mod notify;
mod places;
mod unit;

//! Debian's own kernel, in a virtual machine: what an unprivileged service gets there, where perf_event_open(2) is refused
//! to all but root. Many kernels on which the other tests run have no fentry and fexit at all.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../outputs/log.rs"]
#[allow(dead_code, reason = "the tests of the outputs use the rest")]
mod log;
#[path = "../kernel/namespace.rs"]
#[allow(dead_code, reason = "the kernel tests use the rest")]
mod namespace;
#[path = "../outputs/scene.rs"]
#[allow(dead_code, reason = "the tests of the outputs use the rest")]
mod scene;
#[path = "../privileges/sight.rs"]
mod sight;
#[path = "../support/skip.rs"]
mod skip;
#[path = "../kernel/turn.rs"]
#[allow(dead_code, reason = "no test is alone")]
mod turn;
#[path = "../privileges/who.rs"]
mod who;

mod debian;
mod guest;
mod inside;
mod root;

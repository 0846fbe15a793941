//! The examples of a container: the manifest is one that Kubernetes takes, the Containerfile one that is well made, and
//! connledger does its work with nothing but what the manifest gives it. It is run by crun, which runs containers for
//! Kubernetes, too. Needs root, and what `make test` installs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may fail loudly")]

mod bundle;
mod containerfile;
mod manifest;
mod running;
mod work;

#[allow(dead_code, reason = "the kernel tests use the rest")]
#[path = "../kernel/namespace.rs"]
mod namespace;
#[path = "../support/skip.rs"]
mod skip;
#[allow(dead_code, reason = "the readers use the rest")]
#[path = "../readers/tools.rs"]
mod tools;
#[allow(dead_code, reason = "the kernel tests use the rest")]
#[path = "../kernel/turn.rs"]
mod turn;

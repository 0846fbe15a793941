//! The generated skeletons of bpf/: maps, programs and types.

#![allow(
    unsafe_code,
    missing_docs,
    unused_qualifications,
    rust_2018_idioms,
    clippy::all,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

/// Of bpf/connledger.bpf.c, what traces.
mod connledger {
    include!(concat!(env!("OUT_DIR"), "/connledger.skel.rs"));
}

/// Of bpf/lookup.bpf.c, what looks up ahead of it what that attaches to.
pub mod lookup {
    include!(concat!(env!("OUT_DIR"), "/lookup.skel.rs"));
}

pub use self::connledger::*;

//! The generated skeleton of bpf/connledger.bpf.c: its maps, programs and types.

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

include!(concat!(env!("OUT_DIR"), "/connledger.skel.rs"));

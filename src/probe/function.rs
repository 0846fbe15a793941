//! Whether programs can be attached to the kernel's functions (fentry, fexit). What the kernel says of itself does not
//! tell: it is tried.

use std::mem::MaybeUninit;

use anyhow::Context as _;
use libbpf_rs::skel::OpenSkel as _;
use libbpf_rs::skel::SkelBuilder as _;

use super::messages;
use super::skel::lookup::LookupSkelBuilder;

/// Attaches a program that does nothing, for a moment.
///
/// # Errors
/// If the kernel refuses it, or has no such function.
pub(super) fn look_up(function: &str) -> anyhow::Result<()> {
    let attached = attach(function);
    // Who finds another way has no use for libbpf's words.
    if attached.is_err() {
        messages::forget();
    }
    attached
        .with_context(|| format!("no program can be attached to the kernel's function {function}"))
}

fn attach(function: &str) -> libbpf_rs::Result<()> {
    let mut storage = MaybeUninit::uninit();
    let mut open = LookupSkelBuilder::default().open(&mut storage)?;
    open.progs.find_tracepoint.set_autoload(false);
    open.progs.do_nothing.set_attach_target(0, Some(function.to_owned()))?;
    open.load()?.progs.do_nothing.attach_trace().map(drop)
}

//! What was needed to start is given up for good: everything after works without.

use anyhow::Context as _;
use rustix::thread::CapabilitySet;
use rustix::thread::CapabilitySets;

/// Tries something without any capability in effect, as it will be after [`drop_all`].
///
/// # Errors
/// If the kernel refuses to take them away or to give them back.
pub fn without<T>(work: impl FnOnce() -> T) -> anyhow::Result<T> {
    const CANNOT: &str = "cannot suspend the capabilities";
    let held = rustix::thread::capabilities(None).context(CANNOT)?;
    let suspended = CapabilitySets { effective: CapabilitySet::empty(), ..held };
    rustix::thread::set_capabilities(None, suspended).context(CANNOT)?;
    let result = work();
    rustix::thread::set_capabilities(None, held).context(CANNOT)?;
    Ok(result)
}

/// Drops every capability of the calling thread, and the means to get one by exec.
///
/// # Errors
/// If the kernel refuses.
pub fn drop_all() -> anyhow::Result<()> {
    rustix::thread::set_no_new_privs(true).context("cannot set no_new_privs")?;
    // Not allowed without CAP_SETPCAP, and without consequence then: no_new_privs stands.
    let _ = rustix::thread::clear_ambient_capability_set();
    rustix::thread::set_capabilities(
        None,
        CapabilitySets {
            effective: CapabilitySet::empty(),
            permitted: CapabilitySet::empty(),
            inheritable: CapabilitySet::empty(),
        },
    )
    .context("cannot drop the capabilities")
}

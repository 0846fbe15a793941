//! What was needed to start is given up for good: everything after works without.

use std::thread;
use std::thread::Thread;

use anyhow::Context as _;
use rustix::io::Errno;
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

/// Drops every capability of the calling thread, and the means to get one by exec. What a thread holds is its own
/// affair: each has to call this.
///
/// # Errors
/// If the kernel refuses.
pub fn drop_all() -> anyhow::Result<()> {
    rustix::thread::set_no_new_privs(true).context("cannot set no_new_privs")?;
    empty_bounding_set().context("cannot empty the capability bounding set")?;
    // The ambient set is never larger than these: it goes with them.
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

/// Starts a thread with this name. When this returns, it holds no capability any more.
///
/// # Errors
/// If the system has no thread left, or it cannot give up its capabilities; then `work` is not begun.
pub fn spawn_without(name: String, work: impl FnOnce() + Send + 'static) -> anyhow::Result<Thread> {
    let (first_word, dropped) = crossbeam_channel::bounded(1);
    let thread = thread::Builder::new().name(name).spawn(move || {
        let result = drop_all();
        let may_work = result.is_ok();
        let _ = first_word.send(result);
        if may_work {
            work();
        }
    })?;
    dropped.recv().context("it has ended")??;
    Ok(thread.thread().clone())
}

/// Empties the set of what an exec could give, where that is allowed (`CAP_SETPCAP`). Elsewhere it stays, without
/// consequence: `no_new_privs` stands.
fn empty_bounding_set() -> Result<(), Errno> {
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // Not allowed; or there are no more capabilities.
            Err(Errno::PERM | Errno::INVAL) => break,
            Err(err) => return Err(err),
        }
    }
    Ok(())
}

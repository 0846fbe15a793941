//! What a run would use on this kernel, as far as that can be known without loading what traces.

use anyhow::bail;

use super::Hooks;
use super::Settings;
use super::ladder::AcceptRung;
use super::load::CONNECTS_NOT_TOLD;
use super::load::KernelTypes;
use super::load::Plan;
use super::preflight;
use super::tracepoint::Tracepoints;

/// What a run would use.
#[derive(Clone, Debug)]
pub struct Outlook {
    /// The hooks that would be tried first.
    pub hooks: Hooks,
    /// What would be missing, and why.
    pub doubts: Vec<String>,
}

/// Looks up everything that `settings` need, and attaches nothing. Whether the kernel takes the programs
/// shows only when they are loaded.
///
/// # Errors
/// If something that is asked for cannot be had: what, why, and what to do about it.
pub fn outlook(settings: &Settings<'_>) -> anyhow::Result<Outlook> {
    preflight::check()?;
    let kernel = KernelTypes::read();
    let mut tracepoints = Tracepoints::default();
    let mut reasons = Vec::new();
    for rung in AcceptRung::LADDER {
        let mut plan = Plan::new(settings, &kernel, rung);
        if let Err(err) = plan.accept.map_or(Ok(()), |rung| rung.look_up(&mut tracepoints)) {
            reasons.push(format!("{}: {err:#}", rung.name()));
            continue;
        }
        let mut doubts = Vec::new();
        if let Some(Err(err)) = plan.connect.map(|rung| rung.look_up(&mut tracepoints)) {
            doubts.push(format!("{CONNECTS_NOT_TOLD}: {err:#}"));
            plan.connect = None;
        }
        return Ok(Outlook { hooks: plan.hooks(), doubts });
    }
    bail!("cannot learn who accepts connections: {}", reasons.join("; "))
}

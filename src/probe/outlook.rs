//! What a run would use on this kernel, as far as that can be known without loading what traces.

use anyhow::bail;

use super::Hooks;
use super::Settings;
use super::ladder::AcceptRung;
use super::load;
use super::load::KernelTypes;
use super::load::Plan;
use super::messages;
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
    messages::capture(settings.verbose);
    let kernel = KernelTypes::read();
    let mut tracepoints = Tracepoints::default();
    let mut reasons = Vec::new();
    for rung in AcceptRung::LADDER {
        let mut plan = Plan::new(settings, &kernel, rung);
        match plan.look_up(&mut tracepoints) {
            Ok(doubt) => {
                let doubts = load::compromise(rung, &reasons).into_iter().chain(doubt).collect();
                return Ok(Outlook { hooks: plan.hooks(), doubts });
            }
            Err(err) => reasons.push(format!("{err:#}")),
        }
    }
    bail!("cannot learn who accepts connections: {}", reasons.join("; "))
}

//! Idle: what the tools do when nothing happens. All of them at once, since none of them has anything to do.

use std::thread;
use std::time::Duration;

use serde::Serialize;

use crate::contestant::Contestant;
use crate::options::Options;
use crate::proc;
use crate::proc::Usage;
use crate::scene;
use crate::scene::Scene;
use crate::tool::Attempt;
use crate::tool::Tool;

/// After the last one has attached: what they do at start is over.
const SETTLE: Duration = Duration::from_secs(2);

/// How long they are watched.
const WATCHED: Duration = Duration::from_secs(10);

/// What they did.
#[derive(Debug, Serialize)]
pub struct Idle {
    /// How long they were watched, in s.
    pub seconds: f64,
    /// connledger first, then the peers.
    pub tools: Vec<Row>,
}

/// What one tool did.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Times that it was woken, or interrupted.
    pub wake_ups: u64,
    /// CPU time, in µs.
    pub cpu_us: f64,
    /// Anonymous memory, in KiB.
    pub anonymous_kib: u64,
    /// Lines that it wrote in all of its time: there was traffic by others.
    pub lines: u64,
}

/// Measures it.
pub fn measure(options: &Options, scene: &Scene) -> anyhow::Result<Idle> {
    let mut contestants = vec![Contestant::connledger()];
    if options.peers {
        contestants.extend(Contestant::peers());
    }
    scene.take_turn()?;
    scene::new_network()?;
    let mut tools = Vec::new();
    for contestant in contestants {
        if let Attempt::Attached(tool) = Tool::start(&contestant, scene)? {
            tools.push((contestant.name, tool));
        }
    }
    thread::sleep(SETTLE);
    let usage = |tools: &[(&str, Tool)]| -> anyhow::Result<Vec<Usage>> {
        tools.iter().map(|(_, tool)| Usage::of(tool.pid())).collect()
    };
    let before = usage(&tools)?;
    thread::sleep(WATCHED);
    let after = usage(&tools)?;
    let rows = tools.into_iter().zip(before.iter().zip(after)).map(|((name, tool), (from, to))| {
        let used = to.since(from);
        let anonymous_kib = proc::anonymous_kib(tool.pid())?;
        Ok(Row {
            name: name.to_owned(),
            wake_ups: used.slept + used.preempted,
            cpu_us: used.cpu_ns as f64 / 1000.0,
            anonymous_kib,
            lines: tool.stop()?.all_lines,
        })
    });
    let rows: anyhow::Result<Vec<Row>> = rows.collect();
    Ok(Idle { seconds: WATCHED.as_secs_f64(), tools: rows? })
}

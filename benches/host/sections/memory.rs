//! Memory: what connledger has allocated after a million connections by ten thousand processes.
//!
//! Five hundred processes at a time, each of which makes a hundred connections and ends; each such group in a
//! network namespace of its own, as no more may wait in TIME_WAIT.

use anyhow::Context as _;
use serde::Serialize;

use crate::load::Crowd;
use crate::load::Server;
use crate::options::Options;
use crate::proc;
use crate::progress;
use crate::scene;
use crate::scene::Scene;
use crate::tap::Tap;

/// Processes at a time.
const GROUP: usize = 500;

/// Connections of each process.
const EACH: usize = 100;

/// Groups: 10,000 processes, 1,000,000 connections.
const GROUPS: usize = 20;

/// Groups of a quick run.
const FEW_GROUPS: usize = 2;

/// What it had allocated.
#[derive(Debug, Serialize)]
pub struct Memory {
    /// Processes that made connections.
    pub processes: usize,
    /// Anonymous memory after so many connections, in KiB.
    pub anonymous_kib: Vec<(usize, u64)>,
    /// Events that connledger says it lost.
    pub lost: u64,
}

impl Memory {
    /// The most that it was.
    pub fn most_kib(&self) -> u64 {
        self.anonymous_kib.iter().map(|(_, kib)| *kib).max().unwrap_or(0)
    }

    /// What the second half of the connections added.
    pub fn late_growth_kib(&self) -> u64 {
        let half = self.anonymous_kib.len() / 2;
        let most = |half: &[(usize, u64)]| half.iter().map(|(_, kib)| *kib).max().unwrap_or(0);
        most(&self.anonymous_kib[half..]).saturating_sub(most(&self.anonymous_kib[..half]))
    }
}

/// Measures it.
pub fn measure(options: &Options, scene: &Scene) -> anyhow::Result<Memory> {
    let groups = if options.quick { FEW_GROUPS } else { GROUPS };
    let tap = Tap::start_forgetful()?;
    let mut anonymous_kib = vec![(0, proc::anonymous_kib(tap.pid())?)];
    for group in 1..=groups {
        scene.take_turn()?;
        scene::new_network()?;
        let _server = Server::start()?;
        Crowd::make_each(GROUP, EACH).context("a group of processes")?;
        let connections = group * GROUP * EACH;
        let kib = proc::anonymous_kib(tap.pid())?;
        anonymous_kib.push((connections, kib));
        progress(&format!("   {connections} connections, {kib} KiB"));
    }
    let lost = tap.stop()?.lost;
    Ok(Memory { processes: groups * GROUP, anonymous_kib, lost })
}

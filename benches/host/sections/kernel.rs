//! Kernel cost: how long each BPF program runs, as the kernel counts it.
//!
//! Apart from the other sections, because the counting itself takes time of each run: how much, a program that
//! does nothing tells. It is included in all figures, and deducted from none.

use anyhow::Context as _;
use serde::Serialize;

use crate::bpf;
use crate::bpf::Counting;
use crate::bpf::Nothing;
use crate::bpf::Program;
use crate::contestant::Contestant;
use crate::load::Load;
use crate::options::Options;
use crate::proc;
use crate::progress;
use crate::scene::Scene;
use crate::statistics::Summary;
use crate::statistics::summarize;
use crate::tool::Tool;
use crate::watch;

/// The kernel counts exactly, and so these scatter little.
const ROUNDS: usize = 5;

/// What the programs cost.
#[derive(Debug, Serialize)]
pub struct Kernel {
    /// A run of a program that does nothing, in ns: the measuring.
    pub nothing_ns: Summary,
    /// connledger first, then the peers.
    pub tools: Vec<Row>,
    /// Peers that cannot watch here, with the reason.
    pub refused: Vec<(String, String)>,
}

/// The programs of one tool.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The tool.
    pub name: String,
    /// All of them, in ns a connection, both ends.
    pub ns_a_connection: Summary,
    /// Each of them.
    pub programs: Vec<Cost>,
}

/// What one program costs.
#[derive(Debug, Serialize)]
pub struct Cost {
    /// Its name.
    pub name: String,
    /// ns a run.
    pub ns_a_run: Summary,
    /// Runs a connection, both ends.
    pub runs_a_connection: Summary,
    /// ns a connection, both ends.
    pub ns_a_connection: Summary,
}

/// What came of the rounds of one tool.
struct Record {
    contestant: Contestant,
    rounds: Vec<Round>,
    refused: Option<String>,
}

/// What a tool's programs did, and for how many connections.
struct Round {
    connections: f64,
    programs: Vec<Program>,
}

/// Measures it.
pub fn measure(options: &Options, scene: &Scene) -> anyhow::Result<Kernel> {
    let _counting = Counting::begin().context("the kernel does not count")?;
    let load = Load { warm_up: options.warm_up(), measured: options.measured(), rate: None };
    let mut contestants = vec![Contestant::connledger()];
    if options.peers {
        contestants.extend(Contestant::peers());
    }
    let mut records: Vec<Record> = contestants
        .into_iter()
        .map(|contestant| Record { contestant, rounds: Vec::new(), refused: None })
        .collect();
    let mut nothing_ns = Vec::new();
    let rounds = options.rounds.min(ROUNDS);
    for round in 0..rounds {
        nothing_ns.push(nothing(&load, scene)?);
        for record in records.iter_mut().filter(|record| record.refused.is_none()) {
            record.measure(&load, scene)?;
        }
        progress(&format!("   round {}/{rounds}", round + 1));
    }
    Ok(Kernel {
        nothing_ns: summarize(&nothing_ns).context("no rounds")?,
        tools: records.iter().filter_map(Record::row).collect(),
        refused: records
            .iter()
            .filter_map(|record| Some((record.contestant.name.to_owned(), record.refused.clone()?)))
            .collect(),
    })
}

/// A run of a program that does nothing, in ns.
fn nothing(load: &Load, scene: &Scene) -> anyhow::Result<f64> {
    let program = Nothing::attach().context("cannot attach a program that does nothing")?;
    watch::untraced(load, scene)?;
    let done = program.done().context("a program of ours is gone")?;
    Ok(done.time_ns as f64 / done.runs as f64)
}

/// What the programs did of a tool that runs.
pub fn programs_of(pid: u32) -> anyhow::Result<Vec<Program>> {
    Ok(bpf::programs(&proc::programs(pid)?))
}

impl Record {
    fn measure(&mut self, load: &Load, scene: &Scene) -> anyhow::Result<()> {
        let look = |tool: &Tool| programs_of(tool.pid());
        let (session, [before, after]) =
            match watch::watched_besides(&self.contestant, load, scene, look)? {
                Ok(seen) => seen,
                Err(reason) => {
                    self.refused = Some(reason);
                    return Ok(());
                }
            };
        let programs = bpf::since(&before, &after);
        if programs.iter().all(|program| program.runs == 0) {
            self.refused = Some("has no BPF program that the kernel counts".to_owned());
        } else {
            self.rounds.push(Round { connections: session.connections(), programs });
        }
        Ok(())
    }

    fn row(&self) -> Option<Row> {
        let whole = |round: &Round| {
            let time_ns: u64 = round.programs.iter().map(|program| program.time_ns).sum();
            time_ns as f64 / round.connections
        };
        // The same programs, in the same order, in each round.
        let programs = 0..self.rounds.first()?.programs.len();
        Some(Row {
            name: self.contestant.name.to_owned(),
            ns_a_connection: summarize(&self.rounds.iter().map(whole).collect::<Vec<_>>())?,
            programs: programs.filter_map(|index| self.cost(index)).collect(),
        })
    }

    /// What the program at `index` cost; `None` if it never ran.
    fn cost(&self, index: usize) -> Option<Cost> {
        let each = |figure: fn(&Program, f64) -> f64| {
            let values: Vec<f64> = self
                .rounds
                .iter()
                .filter_map(|round| {
                    let program = round.programs.get(index)?;
                    (program.runs > 0).then(|| figure(program, round.connections))
                })
                .collect();
            summarize(&values)
        };
        Some(Cost {
            name: self.rounds.first()?.programs.get(index)?.name.clone(),
            ns_a_run: each(|program, _| program.time_ns as f64 / program.runs as f64)?,
            runs_a_connection: each(|program, connections| program.runs as f64 / connections)?,
            ns_a_connection: each(|program, connections| program.time_ns as f64 / connections)?,
        })
    }
}

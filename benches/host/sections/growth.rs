//! Growth: what a connection costs connledger as there is more of everything.
//!
//! One thing grows at a time: the rate of new connections, those that are open besides, the processes that
//! make them, the entries of a filter. All else stays: a paced load, which leaves the machine room.

use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use crate::bpf;
use crate::bpf::Counting;
use crate::load::Crowd;
use crate::load::Holders;
use crate::load::Load;
use crate::load::PORT;
use crate::load::Server;
use crate::options::Options;
use crate::proc::Usage;
use crate::progress;
use crate::scene;
use crate::scene::Scene;
use crate::sections::kernel::programs_of;
use crate::statistics::Summary;
use crate::statistics::percentile;
use crate::statistics::summarize;
use crate::tap::Tap;

/// Connections a second, where the rate is not what grows.
const PACE: u32 = 4000;

/// Open connections that a process holds: two descriptors each, below the usual limit of 20,000 or more.
const HELD_BY_ONE: usize = 9_000;

/// Rounds: less than elsewhere, for there are many points.
const ROUNDS: usize = 3;

/// How long each load runs.
const MEASURED: Duration = Duration::from_secs(1);

/// What is left to be written is written within this time.
const AFTERWARDS: Duration = Duration::from_millis(100);

/// What grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// Connections a second.
    Rate,
    /// Connections that are open besides, and do nothing.
    Open,
    /// Processes that take turns.
    Processes,
    /// Networks in --remote-net.
    Networks,
    /// Ports in --remote-port, and as many in --local-port.
    Ports,
    /// Processes in --pid, excluded.
    Pids,
}

/// A point of a curve.
#[derive(Debug, Serialize)]
pub struct Point {
    /// What grows.
    pub axis: Axis,
    /// How much of it there is. For the rate: what it really was.
    pub amount: f64,
    /// All BPF programs, in ns a connection, both ends.
    pub kernel_ns: Summary,
    /// CPU time of the whole process a record, in µs.
    pub cpu_us: Summary,
    /// The p99 of the latency, in µs.
    pub p99_us: Summary,
    /// Events that connledger says it lost.
    pub lost: u64,
}

/// One measurement of a point.
struct Sample {
    amount: f64,
    kernel_ns: f64,
    cpu_us: f64,
    p99_us: f64,
    lost: u64,
}

impl Axis {
    /// All of them, in the order of the plot.
    pub const ALL: [Self; 6] =
        [Self::Rate, Self::Open, Self::Processes, Self::Networks, Self::Ports, Self::Pids];

    /// What it counts.
    pub fn title(self) -> &'static str {
        match self {
            Self::Rate => "connections a second",
            Self::Open => "open connections",
            Self::Processes => "processes",
            Self::Networks => "networks in --remote-net",
            Self::Ports => "ports in --remote-port",
            Self::Pids => "process ids in --pid",
        }
    }

    /// How much of it there shall be.
    fn amounts(self, quick: bool) -> &'static [usize] {
        match (self, quick) {
            // 0: as many as the machine makes.
            (Self::Rate, false) => &[500, 1000, 2000, 4000, 8000, 0],
            (Self::Rate, true) => &[1000, 0],
            (Self::Open, false) => &[10, 1000, 10_000, 100_000, 300_000],
            (Self::Open, true) => &[10, 10_000],
            (Self::Processes, true) => &[1, 100],
            (Self::Processes, false) => &[1, 10, 100, 1000, 10_000],
            (_, false) => &[1, 100, 10_000],
            (_, true) => &[1, 10_000],
        }
    }
}

/// Measures it. One round after the other, so that no point owes its place to a moment of the machine.
pub fn measure(options: &Options, scene: &Scene) -> anyhow::Result<Vec<Point>> {
    let _counting = Counting::begin().context("the kernel does not count")?;
    let rounds = if options.quick { 1 } else { ROUNDS };
    let mut samples: Vec<(Axis, usize, Vec<Sample>)> = Axis::ALL
        .into_iter()
        .flat_map(|axis| axis.amounts(options.quick).iter().map(move |&amount| (axis, amount)))
        .map(|(axis, amount)| (axis, amount, Vec::new()))
        .collect();
    for round in 0..rounds {
        for (axis, amount, samples) in &mut samples {
            let sample = sample(*axis, *amount, options, scene)
                .with_context(|| format!("{amount} {}", axis.title()))?;
            progress(&format!(
                "   round {}/{rounds}, {:.0} {}: {:.0} ns in the kernel, {:.2} µs a record",
                round + 1,
                sample.amount,
                axis.title(),
                sample.kernel_ns,
                sample.cpu_us
            ));
            samples.push(sample);
        }
    }
    Ok(samples.iter().filter_map(|(axis, _, samples)| Point::of(*axis, samples)).collect())
}

impl Point {
    fn of(axis: Axis, samples: &[Sample]) -> Option<Self> {
        let each =
            |figure: fn(&Sample) -> f64| summarize(&samples.iter().map(figure).collect::<Vec<_>>());
        Some(Self {
            axis,
            amount: each(|sample| sample.amount)?.median,
            kernel_ns: each(|sample| sample.kernel_ns)?,
            cpu_us: each(|sample| sample.cpu_us)?,
            p99_us: each(|sample| sample.p99_us)?,
            lost: samples.iter().map(|sample| sample.lost).sum(),
        })
    }
}

fn sample(axis: Axis, amount: usize, options: &Options, scene: &Scene) -> anyhow::Result<Sample> {
    scene.take_turn()?;
    scene::new_network()?;
    let measured = options.measured().min(MEASURED);
    let rate = match (axis, amount) {
        (Axis::Rate, 0) => None,
        (Axis::Rate, rate) => Some(u32::try_from(rate)?),
        _ => Some(PACE),
    };
    let open = if axis == Axis::Open { amount } else { 0 };
    let _holders = Holders::start(open, HELD_BY_ONE)?;
    let _server = (axis == Axis::Processes).then(Server::start).transpose()?;
    let tap = Tap::start(&filter(axis, amount))?;
    let mut crowd =
        (axis == Axis::Processes).then(|| Crowd::start(amount, PACE, measured)).transpose()?;
    let programs = programs_of(tap.pid())?;
    let usage = Usage::of(tap.pid())?;
    let (connections, seconds) = if let Some(crowd) = &mut crowd {
        crowd.finish()?;
        ((measured.as_secs_f64() * f64::from(PACE)) as u64, measured.as_secs_f64())
    } else {
        let made = Load { warm_up: Duration::ZERO, measured, rate }.make()?;
        (made.total, made.seconds)
    };
    thread::sleep(AFTERWARDS);
    let used = Usage::of(tap.pid())?.since(&usage);
    let ran = bpf::since(&programs, &programs_of(tap.pid())?);
    let arrivals = tap.stop()?;
    if let Some(crowd) = crowd {
        crowd.disperse()?;
    }
    // Four records a connection; those of a crowd's first turns came before.
    let records = usize::try_from(connections * 4)?;
    let early = arrivals.of_load.len().saturating_sub(records);
    let latencies = arrivals.sorted_latencies_from(early);
    let all_ns: u64 = ran.iter().map(|program| program.time_ns).sum();
    Ok(Sample {
        amount: match axis {
            Axis::Rate => connections as f64 / seconds,
            _ => amount as f64,
        },
        kernel_ns: all_ns as f64 / connections as f64,
        cpu_us: used.cpu_ns as f64 / 1000.0 / records as f64,
        p99_us: percentile(&latencies, 0.99).context("nothing was told")?,
        lost: arrivals.lost,
    })
}

/// A filter of so many entries, all of which the load passes.
fn filter(axis: Axis, entries: usize) -> Vec<String> {
    match axis {
        Axis::Networks => {
            let others = (0..=u16::MAX).map(|n| format!("10.{}.{}.0/24", n >> 8, n & 0xff));
            option("--remote-net", entries, others, "127.0.0.0/8")
        }
        Axis::Ports => {
            // Each end has the server's port at one side, and one of the client's at the other: all pass.
            let others = || (1..PORT).chain(PORT + 2..32_768).map(|port| format!("!{port}"));
            let own = format!("!{}", PORT + 1);
            let mut options = option("--local-port", entries, others(), &own);
            options.extend(option("--remote-port", entries, others(), &own));
            options
        }
        Axis::Pids => {
            // Beyond what a process can have: none of the load's.
            let others = (5_000_000..5_100_000).map(|pid| format!("!{pid}"));
            option("--pid", entries, others, "!4999999")
        }
        Axis::Rate | Axis::Open | Axis::Processes => Vec::new(),
    }
}

/// An option with `entries` in its list, the last of which is `own`. Given again and again, as no argument may
/// be longer than 128 KiB.
fn option(
    name: &str,
    entries: usize,
    others: impl Iterator<Item = String>,
    own: &str,
) -> Vec<String> {
    let list: Vec<String> = others.take(entries - 1).chain([own.to_owned()]).collect();
    list.chunks(1000).flat_map(|chunk| [name.to_owned(), chunk.join(",")]).collect()
}

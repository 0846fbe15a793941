//! Latency: from the event, whose time stands in the line, to the arrival of the line in a pipe.

use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use anyhow::ensure;
use serde::Serialize;

use crate::load;
use crate::load::Load;
use crate::load::Server;
use crate::options::Options;
use crate::progress;
use crate::scene;
use crate::scene::Scene;
use crate::statistics::Summary;
use crate::statistics::percentile;
use crate::statistics::sorted;
use crate::statistics::summarize;
use crate::tap::Tap;

/// Quiet before each connection after idle: much more than connledger waits for more events.
const QUIET: Duration = Duration::from_millis(200);

/// Connections after idle in a session.
const SINGLE: usize = 45;

/// Latencies, in µs.
#[derive(Debug, Serialize)]
pub struct Latency {
    /// The first line of a connection that comes after quiet.
    pub after_idle: Distribution,
    /// Every line, under as much load as the machine makes.
    pub under_load: Distribution,
}

/// How latencies are distributed, in µs.
#[derive(Debug, Serialize)]
pub struct Distribution {
    /// How many there were, in all sessions.
    pub count: usize,
    /// Half of them were below this.
    pub p50: f64,
    /// All but 1 % of them.
    pub p99: f64,
    /// All of them.
    pub max: f64,
    /// The p99 of the sessions.
    pub p99_of_sessions: Summary,
}

/// Measures it.
pub fn measure(options: &Options, scene: &Scene) -> anyhow::Result<Latency> {
    let (mut after_idle, mut under_load) = (Vec::new(), Vec::new());
    for round in 0..options.rounds {
        after_idle.push(single_connections(if options.quick { 10 } else { SINGLE }, scene)?);
        under_load.push(all_of_a_load(options, scene)?);
        progress(&format!("   round {}/{}", round + 1, options.rounds));
    }
    Ok(Latency {
        after_idle: distribution(&after_idle).context("no connections after idle")?,
        under_load: distribution(&under_load).context("no connections under load")?,
    })
}

/// The latencies of the first line of each of `count` connections, each after quiet.
fn single_connections(count: usize, scene: &Scene) -> anyhow::Result<Vec<f64>> {
    scene.take_turn()?;
    scene::new_network()?;
    let _server = Server::start()?;
    let tap = Tap::start(&[])?;
    for _ in 0..count {
        thread::sleep(QUIET);
        load::exchange().context("a single connection")?;
    }
    thread::sleep(QUIET);
    let arrivals = tap.stop()?;
    // The first that happens is that the handshake ends, at the client's end.
    let latencies = arrivals.sorted_latencies(|arrival| arrival.event == "connect");
    ensure!(latencies.len() == count, "{} of {count} connections were told", latencies.len());
    Ok(latencies)
}

fn all_of_a_load(options: &Options, scene: &Scene) -> anyhow::Result<Vec<f64>> {
    let load = Load { warm_up: options.warm_up(), measured: options.measured(), rate: None };
    scene.take_turn()?;
    scene::new_network()?;
    let tap = Tap::start(&[])?;
    load.make()?;
    thread::sleep(QUIET);
    Ok(tap.stop()?.sorted_latencies(|_| true))
}

fn distribution(sessions: &[Vec<f64>]) -> Option<Distribution> {
    let all = sorted(&sessions.concat());
    let p99s: Vec<f64> = sessions.iter().filter_map(|session| percentile(session, 0.99)).collect();
    Some(Distribution {
        count: all.len(),
        p50: percentile(&all, 0.50)?,
        p99: percentile(&all, 0.99)?,
        max: *all.last()?,
        p99_of_sessions: summarize(&p99s)?,
    })
}

//! The outputs alone: how many lines a second an output's thread encodes and writes on a core of its own, and what
//! a second output costs the collector. Generated records; what reads a socket does nothing with it.

use std::fs;
use std::io;
use std::io::Read as _;
use std::os::unix::net::UnixDatagram;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context as _;
use anyhow::ensure;
use connledger::config::OnFull;
use connledger::config::OutputSpec;
use connledger::encode::Format;
use connledger::ledger::Ledger;
use connledger::outlet::BATCH;
use connledger::outlet::Batch;
use connledger::outlet::BatchPool;
use connledger::outlet::Control;
use connledger::outlet::Notice;
use connledger::outlet::Outlet;
use connledger::outlet::Parts;
use connledger::sink;
use rustix::time::ClockId;
use rustix::time::clock_gettime;
use serde::Serialize;

use crate::load::pin;
use crate::options::Options;
use crate::proc;
use crate::scene::Scene;
use crate::statistics::Summary;
use crate::statistics::summarize;
use crate::support::busy::BusyHost;
use crate::support::run::identity;

/// Processes of the generated host: more than a cache holds the texts of.
const PROCESSES: u32 = 10_000;

/// An output that takes longer for its lines is stuck.
const PATIENCE: Duration = Duration::from_secs(120);

/// Batches that come at once, as they do under load: the ring of one flush interval, less than a queue holds.
const AT_ONCE: u64 = 8;

/// Room for what a reader takes at once.
const READ: usize = 1 << 20;

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Outputs {
    /// Lines in each round.
    pub lines: u64,
    /// The kinds of outputs.
    pub kinds: Vec<Row>,
    /// What the collector's thread does for a record, from the ring's bytes to the queues, in ns: for one output.
    pub collector_with_one_ns: Summary,
    /// The same for two, over that for one: of each round.
    pub two_over_one: Summary,
}

/// One kind of output.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Lines a second, encoding included.
    pub lines_a_second: Summary,
    /// CPU time of its thread a line, in ns.
    pub cpu_ns_a_line: Summary,
}

/// The kinds, and where the records go.
const KINDS: [&str; 3] = ["file", "unix", "unix-dgram"];

/// Measures it.
pub fn measure(options: &Options, scene: &Scene) -> anyhow::Result<Outputs> {
    let lines: u64 = if options.quick { 100_000 } else { 2_000_000 };
    let host = BusyHost::new(PROCESSES, PROCESSES);
    let batches = batches(&host);
    let mut rates = KINDS.map(|_| (Vec::new(), Vec::new()));
    let (mut with_one, mut ratios) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        scene.take_turn()?;
        for (kind, (rate, cpu)) in KINDS.into_iter().zip(&mut rates) {
            let (seconds, cpu_ns) =
                run(kind, &batches, lines, scene).with_context(|| format!("the output {kind}"))?;
            rate.push(lines as f64 / seconds);
            cpu.push(cpu_ns / lines as f64);
        }
        let one = collector_ns(&host, 1, lines / 4, scene)?;
        with_one.push(one);
        ratios.push(collector_ns(&host, 2, lines / 4, scene)? / one);
    }
    let summary = |values: &[f64]| summarize(values).context("no rounds");
    let mut kinds = Vec::new();
    for (name, (rate, cpu)) in KINDS.into_iter().zip(rates) {
        let row = Row { name, lines_a_second: summary(&rate)?, cpu_ns_a_line: summary(&cpu)? };
        kinds.push(row);
    }
    Ok(Outputs {
        lines,
        kinds,
        collector_with_one_ns: summary(&with_one)?,
        two_over_one: summary(&ratios)?,
    })
}

/// The host's events as batches, as they are handed to an output.
fn batches(host: &BusyHost) -> Vec<Arc<Batch>> {
    let mut ledger = ledger(host);
    let entries: Batch = host.events.iter().filter_map(|bytes| ledger.take(bytes)).collect();
    entries.chunks_exact(BATCH).map(|batch| Arc::new(batch.to_vec())).collect()
}

fn ledger(host: &BusyHost) -> Ledger {
    let mut ledger = Ledger::new(None);
    host.announcements.iter().for_each(|bytes| drop(ledger.take(bytes)));
    ledger
}

/// Writes the lines through an output of this kind. Gives the time that it took, in s, and its thread's, in ns.
fn run(
    kind: &str,
    batches: &[Arc<Batch>],
    lines: u64,
    scene: &Scene,
) -> anyhow::Result<(f64, f64)> {
    let path = scene.output_path("output");
    let _ = fs::remove_file(&path);
    read_nothing(kind, &path)?;
    // The thread stays where it is started; who feeds it and who reads share the other core.
    pin(0)?;
    let mut outlet = outlet(&format!("{kind}:{}", path.display()))?;
    pin(1)?;
    let cpu_before = proc::cpu_ns_of_threads("out-")?;
    let begun = Instant::now();
    let mut handed = 0;
    for batch in batches.iter().cycle() {
        if handed >= lines {
            break;
        }
        outlet.offer(Arc::clone(batch));
        outlet.flush(begun + PATIENCE);
        handed += batch.len() as u64;
    }
    while !outlet.is_idle(handed) && begun.elapsed() < PATIENCE {
        thread::sleep(Duration::from_micros(100));
    }
    let seconds = begun.elapsed().as_secs_f64() * lines as f64 / handed as f64;
    let cpu = proc::cpu_ns_of_threads("out-")?.saturating_sub(cpu_before) as f64 * lines as f64
        / handed as f64;
    ensure!(outlet.is_idle(handed), "it is stuck");
    ensure!(outlet.own_losses().total() == 0, "it has lost records");
    outlet.hang_up();
    let _ = outlet.last_word(begun + PATIENCE);
    fs::remove_file(&path)?;
    Ok((seconds, cpu))
}

/// Starts what reads there. It ends by itself when the output is closed, or with this program.
fn read_nothing(kind: &str, path: &Path) -> anyhow::Result<()> {
    let mut buffer = vec![0; READ];
    let reading: Box<dyn FnOnce() -> io::Result<()> + Send> = match kind {
        "unix" => {
            let listener = UnixListener::bind(path)?;
            Box::new(move || {
                let (mut stream, _) = listener.accept()?;
                while stream.read(&mut buffer)? != 0 {}
                Ok(())
            })
        }
        "unix-dgram" => {
            let socket = UnixDatagram::bind(path)?;
            socket.set_read_timeout(Some(Duration::from_secs(1)))?;
            Box::new(move || {
                while socket.recv(&mut buffer).is_ok() {}
                Ok(())
            })
        }
        _ => return Ok(()),
    };
    pin(1)?;
    thread::spawn(reading);
    Ok(())
}

fn outlet(output: &str) -> anyhow::Result<Outlet> {
    let spec: OutputSpec = output.parse().map_err(anyhow::Error::msg)?;
    let output = spec.output(Format::Ndjson, false);
    let control = Control::new(output.destination.to_string(), true);
    let sink = sink::open(&output.destination, &control)?;
    let encoder = output.format.encoder(&identity(), control.output(), false);
    let (on_full, queue) = (OnFull::Block, OnFull::Block.default_queue());
    let parts = Parts { control, on_full, queue, encoder, sink };
    Outlet::spawn(parts, Arc::new(Notice::new()?))
}

/// CPU time that this thread takes for a record, from the ring's bytes to the queues of so many outputs, in ns.
fn collector_ns(
    host: &BusyHost,
    outputs: usize,
    records: u64,
    scene: &Scene,
) -> anyhow::Result<f64> {
    let files: Vec<_> = (0..outputs).map(|i| scene.output_path(&format!("output-{i}"))).collect();
    pin(0)?;
    let mut outlets = Vec::new();
    for file in &files {
        outlets.push(outlet(&format!("file:{}", file.display()))?);
    }
    pin(1)?;
    let mut ledger = ledger(host);
    let mut pool = BatchPool::default();
    let mut batch = Vec::with_capacity(BATCH + 1);
    let mut spent = Duration::ZERO;
    let mut begun = thread_time();
    for bytes in host.events.iter().cycle() {
        batch.extend(ledger.take(bytes));
        if batch.len() < BATCH {
            continue;
        }
        let shared = pool.share(&mut batch);
        for outlet in &mut outlets {
            outlet.offer(Arc::clone(&shared));
        }
        let written = ledger.written();
        if written.is_multiple_of(AT_ONCE * BATCH as u64) {
            spent += thread_time().saturating_sub(begun);
            if written >= records {
                break;
            }
            // The collector makes records faster than they can be encoded; in life there is time between them.
            while outlets.iter().any(|outlet| !outlet.is_idle(written)) {
                thread::sleep(Duration::from_micros(50));
            }
            begun = thread_time();
        }
    }
    for (outlet, file) in outlets.iter_mut().zip(&files) {
        outlet.hang_up();
        let _ = outlet.last_word(Instant::now() + PATIENCE);
        fs::remove_file(file)?;
    }
    Ok(spent.as_nanos() as f64 / ledger.written() as f64)
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

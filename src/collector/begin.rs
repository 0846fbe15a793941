//! The beginning: open the outputs, attach, `start`, list what is open, drop all privileges, `ready`.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::process;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context as _;

use super::Collector;
use super::Drained;
use super::Intake;
use crate::clock::Moment;
use crate::config::Config;
use crate::config::Destination;
use crate::config::Filters;
use crate::config::Output;
use crate::consumers;
use crate::host::Identity;
use crate::ledger::Body;
use crate::ledger::Ledger;
use crate::ledger::Losses;
use crate::ledger::Previous;
use crate::ledger::Start;
use crate::notify::Notifier;
use crate::outlet::BATCH;
use crate::outlet::BatchPool;
use crate::outlet::Control;
use crate::outlet::Notice;
use crate::outlet::Outlet;
use crate::outlet::Parts;
use crate::poll::Poller;
use crate::privileges;
use crate::probe::Probe;
use crate::probe::Settings;
use crate::signals::Signals;
use crate::sink;
use crate::state::Opened;
use crate::state::State;
use crate::stderr;

/// Traces until something says stop.
///
/// # Errors
/// If tracing cannot begin, or an output cannot be written to the end.
pub fn run(config: &Config) -> anyhow::Result<()> {
    let identity = Identity::read()?;
    let beyond_stdout = |output: &Output| output.destination != Destination::Stdout;
    let signals = Signals::register(config.outputs.iter().any(beyond_stdout))
        .context("cannot handle signals")?;
    let notice = Arc::new(Notice::new().context("cannot make an eventfd")?);
    let mut poller = Poller::new().context("cannot make an epoll set")?;
    poller.watch_signals(&signals)?;
    poller.watch_outlets(&*notice)?;
    // Outputs are opened before anything is loaded, but their threads start after: a tool that could
    // not attach writes nothing.
    let mut sinks = Vec::new();
    for (index, output) in config.outputs.iter().enumerate() {
        let control = Control::new(output.destination.to_string(), config.quiet);
        let sink = sink::open(&output.destination, &control)
            .with_context(|| format!("cannot open the output {}", output.destination))?;
        if let Some(fd) = sink.hangup_fd() {
            poller.watch_hangup(index, fd)?;
        }
        sinks.push((output, control, sink));
    }

    // After the outputs: two that write to one file are told that first.
    let Opened { state, last, warning } = State::open(&config.remember, &identity)?;
    if let Some(warning) = warning {
        stderr::say(warning);
    }

    if config.stdout_is_journal && !config.quiet {
        stderr::say("stdout is the journal: writing fields to journald; -o stdout writes lines");
    }

    let intake = Rc::new(RefCell::new(Intake {
        ledger: Ledger::new(config.max_events),
        batch: Vec::with_capacity(BATCH + 1),
    }));
    let readers = sinks.iter().filter_map(|(_, _, sink)| sink.reader_fd()).collect::<Vec<_>>();
    let filters = effective_filters(config, &readers);
    drop(readers);
    let settings = Settings::new(config, &filters);
    let taker = Rc::clone(&intake);
    let probe = Probe::attach(&settings, move |bytes| {
        // The collector holds no borrow while it drains.
        if let Ok(mut intake) = taker.try_borrow_mut() {
            intake.take(bytes);
        }
    })?;
    // All hooks are attached.
    let since = intake.borrow().ledger.now();
    intake.borrow_mut().ledger.saw_until(since.boot_ns);
    poller.watch_ring(probe.wake_fd())?;

    let mut outlets = Vec::new();
    for (output, control, sink) in sinks {
        let encoder = output.format.encoder(&identity, control.output(), output.timestamps);
        let Output { on_full, queue, .. } = *output;
        let parts = Parts { control, on_full, queue, encoder, sink };
        outlets.push(Outlet::spawn(parts, Arc::clone(&notice))?);
    }
    let begun = Instant::now();
    let mut collector = Collector {
        config,
        filters,
        intake,
        probe,
        outlets,
        pool: BatchPool::default(),
        notice,
        notifier: Notifier::from_env(),
        begun,
        listed: false,
        reload_until: None,
        poller,
        signals,
        state,
        stop_at: config.duration.map(|duration| begun + duration),
        heartbeat_at: config.heartbeat.map(|interval| begun + interval),
        failures: Vec::new(),
        losses_told: Losses::default(),
        generation: crate::process::FIRST_GENERATION,
    };
    let previous = last.map(|last| last.previous(since, &identity.boot_id));
    collector.begin(&identity, since, previous)?;
    let reason = collector.collect()?;
    collector.end(reason)
}

/// The filters, with what `--exclude-self` finds.
fn effective_filters(config: &Config, readers: &[OwnedFd]) -> Filters {
    let mut filters = config.filters.clone();
    if filters.exclude_self {
        for reader in readers {
            let consumers = consumers::find(reader);
            for doubt in &consumers.doubts {
                stderr::say(format_args!("warning: --exclude-self may miss some: {doubt}"));
            }
            filters.pids.exclude.extend(consumers.pids);
        }
    }
    filters
}

/// The run before, for who looks on.
fn follows(previous: &Previous) -> String {
    let Previous { run, stopped, gap_us, unwritten, .. } = previous;
    let how = stopped.map_or("was killed or crashed", |_| "stopped");
    // Of one that was killed it is known until when it saw something, not until when it could have.
    let most = if stopped.is_none() { "at most " } else { "" };
    let told = match gap_us {
        Some(us) => {
            let seconds = Duration::from_micros(*us).as_secs_f64();
            format!("nobody watched for {most}{seconds:.3} s, since run {run} {how}")
        }
        None => format!(
            "the run before, {run}, {how}; the clock was set back, so for how long nobody watched is not known"
        ),
    };
    match unwritten {
        0 => told,
        count => {
            format!("{told}; {count} begun since then ended before an output had a line of it")
        }
    }
}

impl Collector<'_> {
    fn begin(
        &mut self,
        identity: &Identity,
        since: Moment,
        previous: Option<Previous>,
    ) -> anyhow::Result<()> {
        if let Some(previous) = &previous {
            self.say(|| follows(previous));
        }
        let start = Start {
            version: env!("CARGO_PKG_VERSION"),
            commit: env!("CONNLEDGER_COMMIT"),
            host_id: identity.host_id.clone(),
            boot_id: identity.boot_id.clone(),
            kernel: identity.kernel.clone(),
            pid: process::id(),
            since: since.wall,
            previous,
            events: self.config.events.clone(),
            hooks: self.probe.hooks(),
            filters: self.filters.given(),
            ring_size: self.config.ring_size,
        };
        self.write_own(Body::Start(Box::new(start)));
        self.listed = self.list_open()?;
        self.probe.follow_io()?;
        privileges::drop_all()?;
        // Not if the end came first: something is left out then.
        if self.listed {
            self.write_own(Body::Ready);
        }
        self.tell_ready();
        if let Some(compromise) = self.probe.compromise() {
            self.say(|| compromise.to_owned());
        }
        let how_to_stop = if self.notifier.is_managed() { "" } else { "; Ctrl-C stops" };
        self.say(|| format!("tracing{how_to_stop}"));
        Ok(())
    }

    /// Has told what is open, and takes it out of the ring, with the owners' descriptions and whatever has
    /// happened since the hooks are attached. False if there is a reason to stop before all of it is told.
    fn list_open(&mut self) -> anyhow::Result<bool> {
        let mut listing = self.probe.list_open()?;
        let complete = loop {
            let more = listing.advance()?;
            // There may be more than the ring has room for, or the outputs.
            while self.drain() == Drained::Blocked && self.stop_reason().is_none() {
                self.wait(Drained::Blocked)?;
            }
            self.tell_alive();
            if self.stop_reason().is_some() {
                break false;
            }
            if !more {
                break true;
            }
        };
        self.probe.shared().end_listing();
        self.drain();
        Ok(complete)
    }
}

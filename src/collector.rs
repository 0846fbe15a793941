//! The loop that drives everything: drains the ring into the ledger, hands batches to the outlets, and
//! waits in one place for whatever comes next. It runs on the main thread.
//!
//! Start: open the outputs, attach, `start`, find out what is open, drop all privileges, `ready`.
//! Stop: detach, drain, balance the books, `stop`, close the queues, join.

use std::cell::RefCell;
use std::io;
use std::io::Write as _;
use std::process;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context as _;
use anyhow::bail;

use crate::config::Config;
use crate::host::Identity;
use crate::ledger::Body;
use crate::ledger::Ledger;
use crate::ledger::Losses;
use crate::ledger::Start;
use crate::ledger::Stop;
use crate::ledger::StopReason;
use crate::outlet::BATCH;
use crate::outlet::Batch;
use crate::outlet::BatchPool;
use crate::outlet::End;
use crate::outlet::Notice;
use crate::outlet::Outlet;
use crate::poll::Poller;
use crate::poll::Wakeup;
use crate::privileges;
use crate::probe::Probe;
use crate::probe::Settings;
use crate::signals::Signals;
use crate::sink;
use crate::wire::shared::Wake;

/// Time for the outputs to take what is left, once tracing has stopped.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// Time for programs that are still running on other CPUs after they were detached.
const LAST_EVENTS: Duration = Duration::from_millis(200);

/// A sleeping collector looks after the ring this often even if nothing wakes it.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Traces until something says stop.
///
/// # Errors
/// If tracing cannot begin, or an output cannot be written to the end.
pub fn run(config: &Config) -> anyhow::Result<()> {
    let identity = Identity::read()?;
    let signals = Signals::register().context("cannot handle signals")?;
    let notice = Arc::new(Notice::new().context("cannot make an eventfd")?);
    let mut poller = Poller::new().context("cannot make an epoll set")?;
    poller.watch_signals(&signals)?;
    poller.watch_outlets(&*notice)?;
    // Outputs are opened before anything is loaded, but their threads start after: a tool that could
    // not attach writes nothing.
    let mut sinks = Vec::new();
    for (index, output) in config.outputs.iter().enumerate() {
        let sink = sink::open(&output.destination)
            .with_context(|| format!("cannot open the output {}", output.destination))?;
        if let Some(fd) = sink.hangup_fd() {
            poller.watch_hangup(index, fd)?;
        }
        sinks.push((output, sink));
    }

    let intake = Rc::new(RefCell::new(Intake {
        ledger: Ledger::new(config.max_events),
        batch: Vec::with_capacity(BATCH + 1),
    }));
    let settings = Settings {
        events: &config.events,
        filters: &config.filters,
        ring_size: config.ring_size,
        verbose: config.verbose,
    };
    let taker = Rc::clone(&intake);
    let probe = Probe::attach(&settings, move |bytes| {
        // The collector holds no borrow while it drains.
        if let Ok(mut intake) = taker.try_borrow_mut() {
            intake.take(bytes);
        }
    })?;
    poller.watch_ring(probe.wake_fd())?;

    let mut outlets = Vec::new();
    for (output, sink) in sinks {
        let encoder = output.format.encoder(&identity, output.timestamps);
        let name = output.destination.to_string();
        outlets.push(Outlet::spawn(name, encoder, sink, Arc::clone(&notice))?);
    }
    let begun = Instant::now();
    let mut collector = Collector {
        config,
        intake,
        probe,
        outlets,
        pool: BatchPool::default(),
        notice,
        poller,
        signals,
        stop_at: config.duration.map(|duration| begun + duration),
        heartbeat_at: config.heartbeat.map(|interval| begun + interval),
        failures: Vec::new(),
        losses_told: Losses::default(),
        generation: crate::process::FIRST_GENERATION,
    };
    collector.begin(&identity)?;
    let reason = collector.collect()?;
    collector.end(reason)
}

/// Where the ring's records arrive.
#[derive(Debug)]
struct Intake {
    ledger: Ledger,
    batch: Batch,
}

impl Intake {
    fn take(&mut self, bytes: &[u8]) {
        if let Some(entry) = self.ledger.take(bytes) {
            self.batch.push(entry);
        }
    }
}

/// How a look into the ring ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drained {
    /// There was nothing.
    Nothing,
    /// There was something; now there is nothing.
    Something,
    /// An output has no room: the ring may hold more.
    Blocked,
}

struct Collector<'a> {
    config: &'a Config,
    intake: Rc<RefCell<Intake>>,
    probe: Probe<'static>,
    outlets: Vec<Outlet>,
    pool: BatchPool,
    notice: Arc<Notice>,
    poller: Poller,
    signals: Signals,
    stop_at: Option<Instant>,
    heartbeat_at: Option<Instant>,
    /// Outputs that could not be written, with the reason.
    failures: Vec<String>,
    losses_told: Losses,
    /// The generation of process images that the kernel side was last told.
    generation: u32,
}

impl Collector<'_> {
    fn begin(&mut self, identity: &Identity) -> anyhow::Result<()> {
        let start = Start {
            version: env!("CARGO_PKG_VERSION"),
            commit: env!("CONNLEDGER_COMMIT"),
            host_id: identity.host_id.clone(),
            boot_id: identity.boot_id.clone(),
            kernel: identity.kernel.clone(),
            pid: process::id(),
            events: self.config.events.clone(),
            hooks: self.probe.hooks(),
            filters: self.config.filters.given(),
            ring_size: self.config.ring_size,
        };
        self.write_own(Body::Start(Box::new(start)));
        self.probe.seed_owners()?;
        // The owners' descriptions, and whatever has happened since the hooks are attached.
        self.drain();
        privileges::drop_all()?;
        self.write_own(Body::Ready);
        self.say(|| "tracing; Ctrl-C stops".to_owned());
        Ok(())
    }

    /// A record of the ledger's own, handed to the outlets at once.
    fn write_own(&mut self, body: Body) {
        {
            let mut intake = self.intake.borrow_mut();
            let entry = intake.ledger.own(body);
            intake.batch.push(entry);
        }
        self.hand_over();
    }

    /// Drains, writes and sleeps until there is a reason to stop.
    fn collect(&mut self) -> anyhow::Result<StopReason> {
        let mut drained = Drained::Nothing;
        loop {
            if let Some(reason) = self.stop_reason() {
                return Ok(reason);
            }
            let woken = self.sleep(drained)?;
            for wakeup in woken {
                match wakeup {
                    Wakeup::Outlet => self.notice.clear(),
                    Wakeup::HangUp(index) => self.outlets[index].hang_up(),
                    Wakeup::Ring | Wakeup::Signal => {}
                }
            }
            self.bury_ended_outlets();
            for outlet in &mut self.outlets {
                outlet.retry();
            }
            drained = self.drain();
            self.beat();
            self.warn_of_losses();
        }
    }

    /// Waits until there is something to do. After events, and for one interval, it looks again by
    /// itself; after an interval without any it sleeps until the kernel side wakes it. KERNELS and the
    /// comment at wake_consumer() in bpf/emit.bpf.h say why no event is slept over.
    fn sleep(&mut self, drained: Drained) -> anyhow::Result<Vec<Wakeup>> {
        let shared = self.probe.shared();
        let longest = match drained {
            Drained::Something => {
                shared.request_wake(Wake::AtWatermark);
                self.config.flush_interval
            }
            Drained::Nothing => {
                shared.request_wake(Wake::AtOnce);
                if self.drain() != Drained::Nothing || !self.probe.shared().wake_stands() {
                    // Something came in between, or the look swallowed the wake-up.
                    Duration::ZERO
                } else {
                    LONGEST_SLEEP
                }
            }
            Drained::Blocked => {
                shared.request_wake(Wake::Never);
                LONGEST_SLEEP
            }
        };
        let now = Instant::now();
        // No heartbeat is written while an output has no room.
        let heartbeat_at = self.heartbeat_at.filter(|_| drained != Drained::Blocked);
        let timeout = [self.stop_at, heartbeat_at]
            .into_iter()
            .flatten()
            .map(|at| at.saturating_duration_since(now))
            .fold(longest, Duration::min);
        let woken = self.poller.wait(Some(timeout)).context("cannot wait for events")?;
        self.probe.shared().request_wake(Wake::Never);
        Ok(woken)
    }

    fn stop_reason(&self) -> Option<StopReason> {
        if let Some(reason) = self.signals.stop_reason() {
            return Some(reason);
        }
        if self.intake.borrow().ledger.limit_reached() {
            return Some(StopReason::MaxEvents);
        }
        if !self.outlets.iter().any(Outlet::is_open) {
            return Some(StopReason::OutputsClosed);
        }
        self.stop_at.is_some_and(|at| Instant::now() >= at).then_some(StopReason::Duration)
    }

    /// Takes everything out of the ring, in batches, as long as the outlets have room.
    fn drain(&mut self) -> Drained {
        let mut total = 0;
        self.intake.borrow_mut().ledger.follow_clock();
        loop {
            if self.outlets.iter().any(Outlet::is_full) {
                return Drained::Blocked;
            }
            let taken = self.probe.drain(BATCH);
            total += taken;
            self.tell_generation();
            if taken < BATCH {
                break;
            }
            self.hand_over();
        }
        self.account();
        self.hand_over();
        if total == 0 { Drained::Nothing } else { Drained::Something }
    }

    /// Reads the counters; what is missing gets its numbers here.
    fn account(&mut self) {
        let counters = self.probe.shared().counters();
        let intake = &mut *self.intake.borrow_mut();
        intake.batch.extend(intake.ledger.account(counters));
    }

    /// Tells the kernel side when the process table has begun a new generation.
    fn tell_generation(&mut self) {
        let generation = self.intake.borrow().ledger.process_generation();
        if generation != self.generation {
            self.generation = generation;
            self.probe.shared().set_process_generation(generation);
        }
    }

    /// Hands the entries so far to every outlet, or leaves them for later if one of them is full.
    fn hand_over(&mut self) {
        if !self.outlets.iter().any(Outlet::is_full) {
            self.share_out();
        }
    }

    /// Hands the entries so far to every outlet that is not full.
    fn share_out(&mut self) {
        let batch = {
            let mut intake = self.intake.borrow_mut();
            if intake.batch.is_empty() {
                return;
            }
            self.pool.share(&mut intake.batch)
        };
        // Only at the end is one of them full here: it has let its time pass, which is told when it is
        // closed.
        let takers = self.outlets.iter_mut().filter(|outlet| outlet.is_open() && !outlet.is_full());
        for outlet in takers {
            outlet.offer(Arc::clone(&batch));
        }
    }

    fn beat(&mut self) {
        let (Some(at), Some(interval)) = (self.heartbeat_at, self.config.heartbeat) else { return };
        if Instant::now() < at || self.outlets.iter().any(Outlet::is_full) {
            return;
        }
        // From now, not from then: a suspended host beats once, not for every hour that it slept.
        self.heartbeat_at = Some(Instant::now() + interval);
        self.account_skipped();
        {
            let intake = &mut *self.intake.borrow_mut();
            let entry = intake.ledger.heartbeat();
            intake.batch.push(entry);
        }
        self.hand_over();
    }

    fn account_skipped(&mut self) {
        if let Some(skipped) = self.probe.skipped_accepts() {
            let intake = &mut *self.intake.borrow_mut();
            intake.batch.extend(intake.ledger.account_skipped(skipped));
        }
    }

    fn bury_ended_outlets(&mut self) {
        for outlet in &mut self.outlets {
            if let Some(End::Failed(err)) = outlet.ended() {
                self.failures.push(format!("cannot write to {}: {err}", outlet.name()));
            }
        }
    }

    fn end(mut self, reason: StopReason) -> anyhow::Result<()> {
        let deadline = Instant::now() + LAST_WRITES;
        self.probe.detach();
        let settled = self.drain_rest(deadline);
        self.account_skipped();
        let figures = {
            let intake = &mut *self.intake.borrow_mut();
            if settled {
                intake.batch.extend(intake.ledger.declare_unaccounted());
            }
            let figures = intake.ledger.figures();
            let stop = Stop { reason, figures: figures.clone() };
            let entry = intake.ledger.own(Body::Stop(Box::new(stop)));
            intake.batch.push(entry);
            figures
        };
        self.flush(deadline);
        self.share_out();
        self.flush(deadline);
        self.warn_of_losses();
        self.bury_ended_outlets();
        for outlet in &mut self.outlets {
            if !outlet.is_open() && !outlet.is_full() {
                continue;
            }
            match outlet.close(deadline) {
                Some(End::Done | End::Closed) => {}
                Some(End::Failed(err)) => {
                    self.failures.push(format!("cannot write to {}: {err}", outlet.name()));
                }
                None => self.failures.push(format!(
                    "{} did not take the last records within {} s",
                    outlet.name(),
                    LAST_WRITES.as_secs()
                )),
            }
        }
        if !self.failures.is_empty() {
            bail!("{}", self.failures.join("; "));
        }
        self.say(|| {
            format!(
                "observed {} = written {} + lost {} + filtered {}",
                figures.observed, figures.written, figures.lost, figures.filtered
            )
        });
        Ok(())
    }

    /// Drains until nothing is on its way any more. The programs are detached, but may still be running.
    /// False if an output did not take it in time.
    fn drain_rest(&mut self, deadline: Instant) -> bool {
        let settled = Instant::now() + LAST_EVENTS;
        loop {
            if self.drain() == Drained::Blocked {
                self.flush(deadline);
                if Instant::now() >= deadline {
                    return false;
                }
                continue;
            }
            if self.intake.borrow().ledger.in_flight() == 0 || Instant::now() >= settled {
                return true;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until the outlets have taken what they hold.
    fn flush(&mut self, deadline: Instant) {
        for outlet in &mut self.outlets {
            // What finds no room until the deadline is told when the outlet is closed.
            let _ = outlet.flush(deadline);
        }
    }

    fn warn_of_losses(&mut self) {
        let losses = self.intake.borrow().ledger.losses();
        for (cause, count) in losses.iter() {
            // Once per cause: the log has every single loss, the summary the sum.
            if self.losses_told.iter().all(|(told, _)| told != cause) {
                complain(&format!("warning: {count} events lost: {}", cause.advice()));
                self.losses_told.add(cause, 1);
            }
        }
    }

    fn say(&self, text: impl FnOnce() -> String) {
        if !self.config.quiet {
            complain(&text());
        }
    }
}

/// Says something on stderr. Where that cannot be written, tracing goes on.
fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "connledger: {text}");
}

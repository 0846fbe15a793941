//! The loop that drives everything: drains the ring into the ledger, hands batches to the outlets, and
//! waits in one place for whatever comes next. It runs on the main thread.
//!
//! Start: open the outputs, attach, `start`, find out what is open, drop all privileges, `ready`.
//! Stop: detach, drain, balance the books, `stop`, close the queues, join.

mod begin;
mod end;
mod status;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context as _;

pub use self::begin::run;
use crate::clock::boottime_ns;
use crate::config::Config;
use crate::config::Filters;
use crate::ledger::Body;
use crate::ledger::Ledger;
use crate::ledger::Losses;
use crate::ledger::StopReason;
use crate::notify::Notifier;
use crate::outlet::BATCH;
use crate::outlet::Batch;
use crate::outlet::BatchPool;
use crate::outlet::End;
use crate::outlet::Notice;
use crate::outlet::Outlet;
use crate::poll::Poller;
use crate::poll::Wakeup;
use crate::probe::Probe;
use crate::signals::Signals;
use crate::state::State;
use crate::stderr;
use crate::wire::shared::Wake;

/// What the smallest record of the ring takes, with the kernel's header: struct cl_process.
const SMALLEST_RECORD: usize = 64;

/// A sleeping collector looks after the ring this often even if nothing wakes it.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// It looks again after this if something in the ring is not complete: a program was interrupted while it wrote a
/// record, or its CPU was taken away from it. The shortest time that epoll waits.
const NAP: Duration = Duration::from_millis(1);

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
    /// As much was taken as the ring holds; there may be more.
    Enough,
    /// An output has no room: the ring may hold more.
    Blocked,
}

/// An output that could not be written to the end.
struct Failure {
    /// Its index.
    outlet: usize,
    /// Why.
    fault: String,
}

impl Failure {
    fn new(outlet: usize, err: &io::Error) -> Self {
        Self { outlet, fault: err.to_string() }
    }
}

struct Collector<'a> {
    config: &'a Config,
    filters: Filters,
    intake: Rc<RefCell<Intake>>,
    probe: Probe<'static>,
    outlets: Vec<Outlet>,
    pool: BatchPool,
    notice: Arc<Notice>,
    notifier: Notifier,
    begun: Instant,
    /// What was open at the beginning is told.
    listed: bool,
    /// So long the service manager waits for the outputs to reopen.
    reload_until: Option<Instant>,
    poller: Poller,
    signals: Signals,
    state: Option<State>,
    stop_at: Option<Instant>,
    heartbeat_at: Option<Instant>,
    failures: Vec<Failure>,
    losses_told: Losses,
    /// The generation of process images that the kernel side was last told.
    generation: u32,
}

impl Collector<'_> {
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
            self.wait(drained)?;
            drained = self.drain();
            self.beat();
            self.warn_of_losses();
        }
    }

    /// Sleeps until there is something to do, and sees to the outlets.
    fn wait(&mut self, drained: Drained) -> anyhow::Result<()> {
        let timeout = self.prepare_sleep(drained);
        // After the last look into the ring: see want_io() in bpf/emit.bpf.h.
        if let Err(err) = self.probe.follow_io() {
            stderr::say(format_args!(
                "warning: accepts by io_uring are attributed to the listener's owner: {err:#}"
            ));
        }
        let woken = self.poller.wait(Some(timeout)).context("cannot wait for events")?;
        self.probe.shared().request_wake(Wake::AtWatermark);
        for wakeup in woken {
            match wakeup {
                Wakeup::Outlet => self.notice.clear(),
                Wakeup::HangUp(index) => self.outlets[*index].hang_up(),
                Wakeup::Signal => self.signals.clear(),
                Wakeup::Ring => {}
            }
        }
        if self.signals.take_reopen() {
            self.reopen();
        }
        let known = self.failures.len();
        self.bury_ended_outlets();
        self.tell_failures(known);
        for outlet in &mut self.outlets {
            outlet.retry();
        }
        self.tell_reloaded();
        self.note_begin();
        self.tell_alive();
        Ok(())
    }

    /// Says what may wake it, and how long it may sleep. After events, and for one interval, it looks again by
    /// itself; after an interval without any it sleeps until the kernel side wakes it. ARCHITECTURE.md and the
    /// comment at wake_consumer() in bpf/emit.bpf.h say why no event is slept over.
    fn prepare_sleep(&mut self, drained: Drained) -> Duration {
        let longest = match drained {
            // It was written before the drain. Taken back: the ring has passed the watermark since.
            Drained::Something if self.probe.shared().wake_stands() => self.config.flush_interval,
            Drained::Something | Drained::Enough => Duration::ZERO,
            Drained::Nothing => self.fall_asleep(),
            Drained::Blocked => {
                self.probe.shared().request_wake(Wake::Never);
                LONGEST_SLEEP
            }
        };
        let now = Instant::now();
        // No heartbeat is written while an output has no room.
        let heartbeat_at = self.heartbeat_at.filter(|_| drained != Drained::Blocked);
        [self.stop_at, heartbeat_at, self.reload_until, self.notifier.next_beat()]
            .into_iter()
            .flatten()
            .map(|at| at.saturating_duration_since(now))
            .fold(longest, Duration::min)
    }

    /// Asks to be woken, and says for how long it may sleep then.
    fn fall_asleep(&mut self) -> Duration {
        self.probe.shared().request_wake(Wake::AtOnce);
        if self.drain() != Drained::Nothing {
            return Duration::ZERO;
        }
        if !self.probe.is_ring_empty() {
            return NAP;
        }
        if self.probe.shared().wake_stands() { LONGEST_SLEEP } else { Duration::ZERO }
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

    /// Takes what is in the ring, in batches, as long as the outlets have room. Not more than the ring can
    /// hold: whoever fills it as fast as it is drained must not keep us from everything else.
    fn drain(&mut self) -> Drained {
        let most = self.config.ring_size as usize / SMALLEST_RECORD;
        let quiet_until = self.state.as_ref().is_some_and(State::is_old).then(boottime_ns);
        let mut total = 0;
        self.intake.borrow_mut().ledger.follow_clock();
        loop {
            if self.outlets.iter().any(Outlet::is_full) {
                return Drained::Blocked;
            }
            let taken = self.probe.drain(BATCH);
            total += taken;
            self.tell_generation();
            if taken < BATCH || total >= most {
                break;
            }
            self.hand_over();
        }
        self.account();
        self.hand_over();
        if let Some(until) = quiet_until.filter(|_| total == 0) {
            self.note_quiet(until);
        }
        match total {
            0 => Drained::Nothing,
            _ if total >= most => Drained::Enough,
            _ => Drained::Something,
        }
    }

    /// Reads the counters; what is missing gets its numbers here.
    fn account(&mut self) {
        let counters = self.probe.shared().counters();
        self.probe.relieve(counters.acceptors_held);
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
        if self.intake.borrow().batch.is_empty() {
            return;
        }
        self.note();
        let batch = self.pool.share(&mut self.intake.borrow_mut().batch);
        // Only at the end is one of them full here: it has let its time pass, which is told when it is
        // closed.
        let takers = self.outlets.iter_mut().filter(|outlet| outlet.is_open() && !outlet.is_full());
        for outlet in takers {
            outlet.offer(Arc::clone(&batch));
        }
    }

    /// Has it remembered where the run stands: all that has a number is about to be handed over.
    fn note(&mut self) {
        let Some(state) = &mut self.state else { return };
        if !state.has_begun() && self.outlets.iter().any(Outlet::has_begun) {
            state.begin();
        }
        state.note(self.intake.borrow().ledger.position());
    }

    /// The same at once when an output has a line of this run: should the run be killed, the next one names it.
    fn note_begin(&mut self) {
        let knows = self.state.as_ref().is_none_or(State::has_begun);
        if !knows && self.outlets.iter().any(Outlet::has_begun) {
            self.note();
        }
    }

    /// Writes down that nothing has happened for a while, if that is so: should the run be killed, the gap is not counted
    /// from its last record.
    fn note_quiet(&mut self, until_ns: u64) {
        if self.probe.is_ring_empty() && self.intake.borrow().batch.is_empty() {
            self.intake.borrow_mut().ledger.saw_until(until_ns);
            self.note();
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
            let outlets = &self.outlets;
            let entry = intake
                .ledger
                .heartbeat(|ledger| outlets.iter().map(|outlet| outlet.figures(ledger)).collect());
            intake.batch.push(entry);
        }
        self.hand_over();
    }

    fn account_skipped(&mut self) {
        if let Some(skipped) = self.probe.skipped_calls() {
            let intake = &mut *self.intake.borrow_mut();
            intake.batch.extend(intake.ledger.account_skipped(skipped));
        }
    }

    fn bury_ended_outlets(&mut self) {
        for (index, outlet) in self.outlets.iter_mut().enumerate() {
            let known = self.failures.iter().any(|failure| failure.outlet == index);
            if let Some(End::Failed(err)) = outlet.ended().filter(|_| !known) {
                self.failures.push(Failure::new(index, &err));
            }
        }
    }

    /// Says which outputs have failed since so many had. If it was the last one, that is what the program ends with.
    fn tell_failures(&self, known: usize) {
        if !self.outlets.iter().any(Outlet::is_open) {
            return;
        }
        for Failure { outlet, fault } in &self.failures[known..] {
            let name = self.outlets[*outlet].name();
            stderr::say(format_args!(
                "cannot write to {name}: {fault}; only the other outputs go on"
            ));
        }
    }

    /// Once per cause: the log has every single loss, the summary the sum.
    fn warn_of_losses(&mut self) {
        let losses = self.intake.borrow().ledger.losses();
        for (cause, count) in losses.not_in(&mut self.losses_told) {
            stderr::say(format_args!("warning: {count} events lost: {}", cause.advice()));
        }
        for outlet in &mut self.outlets {
            outlet.warn_of_losses();
        }
    }

    fn say(&self, text: impl FnOnce() -> String) {
        if !self.config.quiet {
            stderr::say(text());
        }
    }
}

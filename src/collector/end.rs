//! The end: detach, drain, balance the books, `stop`, close the queues, join.

use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::bail;

use super::Collector;
use super::Drained;
use super::Failure;
use crate::clock::WallTime;
use crate::ledger::Body;
use crate::ledger::Figures;
use crate::ledger::Stop;
use crate::ledger::StopReason;
use crate::outlet::End;
use crate::outlet::Outlet;
use crate::stderr;

/// Time for the outputs to take what is left, once tracing has stopped.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// Of that, time for a reader that is not there to come back.
const LAST_CHANCE: Duration = Duration::from_secs(3);

/// Of that, time until all outputs have room for what was in the ring.
const LAST_ROOM: Duration = Duration::from_secs(4);

/// An output that takes longer is named to whoever waits for the end.
const NOT_AT_ONCE: Duration = Duration::from_millis(500);

/// Time for programs that are still running on other CPUs after they were detached.
const LAST_EVENTS: Duration = Duration::from_millis(200);

/// How often it is looked whether the outputs have written everything.
const LOOK: Duration = Duration::from_millis(1);

impl Collector<'_> {
    pub(super) fn end(mut self, reason: StopReason) -> anyhow::Result<()> {
        let begun = Instant::now();
        self.tell_stopping();
        let until = self.intake.borrow().ledger.now();
        if let Some(state) = &mut self.state {
            state.detach(until);
        }
        self.probe.detach();
        self.drain_rest(begun);
        self.account_skipped();
        {
            let intake = &mut *self.intake.borrow_mut();
            intake.batch.extend(intake.ledger.declare_unaccounted());
        }
        self.make_room(begun);
        self.share_out();
        self.settle(begun);
        self.make_room(begun);
        let figures = self.write_stop(reason, until.wall);
        for outlet in &mut self.outlets {
            outlet.flush(begun + LAST_WRITES);
        }
        self.warn_of_losses();
        self.close_outlets(begun);
        self.end_state(reason);
        if !self.failures.is_empty() {
            bail!("{}", self.cannot_write());
        }
        self.say(|| {
            format!(
                "observed {} = written {} + lost {} + filtered {}",
                figures.observed, figures.written, figures.lost, figures.filtered
            )
        });
        Ok(())
    }

    /// The last record. It tells of every output how it stands, so that all of them come first.
    fn write_stop(&mut self, reason: StopReason, until: WallTime) -> Figures {
        let figures = {
            let intake = &mut *self.intake.borrow_mut();
            let mut figures = intake.ledger.figures();
            figures.outputs = self.outlets.iter().map(|outlet| outlet.figures(&figures)).collect();
            let stop = Stop { reason, until, figures: figures.clone() };
            let entry = intake.ledger.own(Body::Stop(Box::new(stop)));
            intake.batch.push(entry);
            figures
        };
        self.share_out();
        figures
    }

    /// Has it remembered that the run has ended.
    fn end_state(&mut self, reason: StopReason) {
        if self.state.is_none() {
            return;
        }
        self.note_begin();
        let position = self.intake.borrow().ledger.position();
        let said = self.state.take().and_then(|state| state.end(position, reason));
        if let Some(said) = said {
            stderr::say(said);
        }
    }

    /// Waits until the outputs have written what they were given. Those whose reader does not come back in time
    /// give up, and keep the others no longer.
    fn settle(&mut self, begun: Instant) {
        let handed = self.intake.borrow().ledger.written();
        // Those that were kept by another one have time, too.
        let last_chance = Instant::now().max(begun + LAST_CHANCE);
        let mut told = false;
        let mut given_up = false;
        loop {
            for outlet in &mut self.outlets {
                outlet.retry();
            }
            self.bury_ended_outlets();
            let waiting = self.outlets.iter().find(|outlet| !outlet.is_idle(handed));
            let Some(outlet) = waiting else { return };
            let waited = begun.elapsed();
            if waited >= NOT_AT_ONCE && !told {
                told = true;
                let count = outlet.in_flight(handed);
                let name = outlet.name();
                self.say(|| format!("waiting for {name} to take {count} events"));
            }
            if Instant::now() >= last_chance + LAST_EVENTS {
                return;
            }
            if waited >= LAST_CHANCE && !given_up {
                given_up = true;
                self.outlets.iter().for_each(Outlet::give_up);
            }
            thread::sleep(LOOK);
        }
    }

    /// Waits until no output is full, so that all of them get what comes next. One that stays full is left behind:
    /// the others do not lose by it what is in the ring still.
    fn make_room(&mut self, begun: Instant) {
        let stays_full = |outlets: &mut [Outlet], until: Instant| {
            for outlet in outlets.iter_mut().filter(|outlet| outlet.is_full()) {
                outlet.flush(until);
            }
            outlets.iter().any(Outlet::is_full)
        };
        let until = begun + LAST_CHANCE;
        if !stays_full(&mut self.outlets, until) {
            return;
        }
        self.outlets.iter().for_each(Outlet::give_up);
        let until = (Instant::now() + LAST_EVENTS).min(begun + LAST_ROOM);
        if stays_full(&mut self.outlets, until) {
            for (index, outlet) in self.outlets.iter_mut().enumerate() {
                if outlet.is_full() {
                    outlet.hang_up();
                    self.failures.push(Failure::too_slow(index, begun));
                }
            }
        }
        self.bury_ended_outlets();
    }

    /// Closes the queues and waits for the threads.
    fn close_outlets(&mut self, begun: Instant) {
        self.bury_ended_outlets();
        let open = |(_, outlet): &(usize, &mut Outlet)| outlet.is_open();
        // All of them before the first one is waited for.
        let closed = self.outlets.iter_mut().enumerate().filter(open).map(|(index, outlet)| {
            let lacks_something = outlet.is_waiting();
            outlet.hang_up();
            (index, lacks_something)
        });
        for (index, lacks_something) in closed.collect::<Vec<_>>() {
            let outlet = &self.outlets[index];
            // However long the ones before have taken.
            let at_least = |time| (begun + time).max(Instant::now() + LAST_EVENTS);
            let last_word = outlet.last_word(at_least(LAST_CHANCE)).or_else(|| {
                outlet.give_up();
                outlet.last_word(at_least(LAST_WRITES))
            });
            match last_word {
                Some(End::Failed(err)) => self.failures.push(Failure::new(index, &err)),
                Some(End::Done) if !lacks_something => {}
                Some(End::Closed) => {}
                Some(End::Done) | None => self.failures.push(Failure::too_slow(index, begun)),
            }
        }
    }

    /// Drains until nothing is on its way any more. The programs are detached, but may still be running.
    fn drain_rest(&mut self, begun: Instant) {
        let settled = Instant::now() + LAST_EVENTS;
        loop {
            if self.drain() == Drained::Blocked {
                self.make_room(begun);
            } else if self.intake.borrow().ledger.in_flight() == 0 || Instant::now() >= settled {
                return;
            } else {
                thread::sleep(LOOK);
            }
        }
    }

    /// What went wrong with the outputs, and how many events each of them lacks by that.
    fn cannot_write(&self) -> String {
        let handed = self.intake.borrow().ledger.written();
        let tell = |Failure { outlet, fault }: &Failure| {
            let outlet = &self.outlets[*outlet];
            let name = outlet.name();
            match outlet.in_flight(handed) {
                0 => format!("cannot write to {name}: {fault}"),
                count => format!("cannot write to {name}: {fault}; it lacks {count} events"),
            }
        };
        self.failures.iter().map(tell).collect::<Vec<_>>().join("; ")
    }
}

impl Failure {
    /// It had time since the end `begun`.
    fn too_slow(outlet: usize, begun: Instant) -> Self {
        let seconds = begun.elapsed().as_secs_f64();
        Self { outlet, fault: format!("it did not take the last records within {seconds:.1} s") }
    }
}

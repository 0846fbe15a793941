//! The end: detach, drain, balance the books, `stop`, close the queues, join.

use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::bail;

use super::Collector;
use super::Drained;
use crate::ledger::Body;
use crate::ledger::Figures;
use crate::ledger::Stop;
use crate::ledger::StopReason;
use crate::outlet::End;
use crate::outlet::Outlet;

/// Time for the outputs to take what is left, once tracing has stopped.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// Of that, time for a reader that is not there to come back.
const LAST_CHANCE: Duration = Duration::from_secs(3);

/// An output that takes longer is named to whoever waits for the end.
const NOT_AT_ONCE: Duration = Duration::from_millis(500);

/// Time for programs that are still running on other CPUs after they were detached.
const LAST_EVENTS: Duration = Duration::from_millis(200);

/// How often it is looked whether the outputs have written everything.
const LOOK: Duration = Duration::from_millis(1);

impl Collector<'_> {
    pub(super) fn end(mut self, reason: StopReason) -> anyhow::Result<()> {
        let begun = Instant::now();
        let deadline = begun + LAST_WRITES;
        self.probe.detach();
        let drained = self.drain_rest(deadline);
        self.account_skipped();
        if drained {
            let intake = &mut *self.intake.borrow_mut();
            intake.batch.extend(intake.ledger.declare_unaccounted());
        }
        self.flush(deadline);
        self.share_out();
        self.settle(begun);
        let figures = self.write_stop(reason);
        self.flush(deadline);
        self.warn_of_losses();
        self.close_outlets(deadline);
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

    /// The last record. It tells of every output how it stands, so that all of them come first.
    fn write_stop(&mut self, reason: StopReason) -> Figures {
        let figures = {
            let intake = &mut *self.intake.borrow_mut();
            let mut figures = intake.ledger.figures();
            figures.outputs = self.outlets.iter().map(|outlet| outlet.figures(&figures)).collect();
            let stop = Stop { reason, figures: figures.clone() };
            let entry = intake.ledger.own(Body::Stop(Box::new(stop)));
            intake.batch.push(entry);
            figures
        };
        self.share_out();
        figures
    }

    /// Waits until the outputs have written what they were given. Those whose reader does not come back in time
    /// give up, and keep the others no longer.
    fn settle(&mut self, begun: Instant) {
        let handed = self.intake.borrow().ledger.written();
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
            if waited >= LAST_CHANCE {
                if given_up && waited >= LAST_CHANCE + LAST_EVENTS {
                    return;
                }
                given_up = true;
                self.outlets.iter().for_each(Outlet::give_up);
            }
            thread::sleep(LOOK);
        }
    }

    /// Closes the queues and waits for the threads.
    fn close_outlets(&mut self, deadline: Instant) {
        let handed = self.intake.borrow().ledger.written();
        self.bury_ended_outlets();
        for outlet in self.outlets.iter_mut().filter(|outlet| outlet.is_open()) {
            let fault = match outlet.close(deadline) {
                Some(End::Done | End::Closed) => continue,
                Some(End::Failed(err)) => err.to_string(),
                None => {
                    format!("it did not take the last records within {} s", LAST_WRITES.as_secs())
                }
            };
            self.failures.push(cannot_write(outlet, handed, &fault));
        }
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
            thread::sleep(LOOK);
        }
    }

    /// Waits until the outlets have taken what they hold.
    fn flush(&mut self, deadline: Instant) {
        for outlet in &mut self.outlets {
            // What finds no room until the deadline is told when the outlet is closed.
            outlet.flush(deadline);
        }
    }
}

/// What went wrong with an output, and how many events it lacks by that.
pub(super) fn cannot_write(outlet: &Outlet, handed: u64, fault: &str) -> String {
    let name = outlet.name();
    match outlet.in_flight(handed) {
        0 => format!("cannot write to {name}: {fault}"),
        count => format!("cannot write to {name}: {fault}; it lacks {count} events"),
    }
}

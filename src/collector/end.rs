//! The end: detach, drain, balance the books, `stop`, close the queues, join.

use std::time::Duration;
use std::time::Instant;

use anyhow::bail;

use super::Collector;
use super::Drained;
use crate::ledger::Body;
use crate::ledger::Stop;
use crate::ledger::StopReason;
use crate::outlet::End;
/// Time for the outputs to take what is left, once tracing has stopped.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// Time for programs that are still running on other CPUs after they were detached.
const LAST_EVENTS: Duration = Duration::from_millis(200);

impl Collector<'_> {
    pub(super) fn end(mut self, reason: StopReason) -> anyhow::Result<()> {
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
}

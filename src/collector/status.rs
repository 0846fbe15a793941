//! How the run stands, in a line for the service manager, and when that is told.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;
use std::time::Instant;

use super::Collector;
use crate::outlet::Outlet;
use crate::stderr;

/// Outputs open their files again, or try their peers, within this; the manager does not wait longer for one that cannot.
const RELOAD: Duration = Duration::from_secs(1);

/// A list of what is open that takes longer is held up by an output. Tracing has begun: the host's start need not wait.
const LISTING: Duration = Duration::from_secs(30);

impl Collector<'_> {
    /// Tells the service manager that the collector lives, if it is time. Who waits for an output comes here, too.
    pub(super) fn tell_alive(&mut self) {
        if self.notifier.is_due() {
            if !self.notifier.is_ready() && self.begun.elapsed() >= LISTING {
                return self.tell_ready();
            }
            let status = self.status(self.doing());
            warn(self.notifier.beat(&status));
        }
    }

    /// Tells it that tracing has begun.
    pub(super) fn tell_ready(&mut self) {
        let status = self.status(self.doing());
        warn(self.notifier.ready(&status));
    }

    fn doing(&self) -> &'static str {
        if self.listed { "tracing" } else { "tracing, and listing what is open" }
    }

    /// Tells it that tracing ends.
    pub(super) fn tell_stopping(&mut self) {
        warn(self.notifier.stopping("stopping: the outputs take what is left"));
    }

    /// Asks the outputs to open their files again, and tells it so.
    pub(super) fn reopen(&mut self) {
        let is_ready = self.notifier.is_ready();
        if is_ready {
            warn(self.notifier.reloading());
        }
        self.outlets.iter().for_each(Outlet::reopen);
        if is_ready {
            self.reload_until = Some(Instant::now() + RELOAD);
        }
    }

    /// Tells it that the outputs have done so, or that one takes too long to be waited for.
    pub(super) fn tell_reloaded(&mut self) {
        let Some(until) = self.reload_until else { return };
        if Instant::now() >= until || !self.outlets.iter().any(Outlet::is_reopening) {
            self.reload_until = None;
            self.tell_ready();
        }
    }

    /// The figures, and which outputs are behind, and why.
    fn status(&self, doing: &str) -> String {
        let ledger = &self.intake.borrow().ledger;
        let mut status = format!(
            "{doing}: observed {}, written {}, lost {}, filtered {}",
            ledger.observed(),
            ledger.written(),
            ledger.losses().total(),
            ledger.filtered()
        );
        for outlet in &self.outlets {
            let name = outlet.name();
            let lost = outlet.own_losses().events();
            let behind = match outlet.trouble() {
                _ if !outlet.is_open() => "has ended".to_owned(),
                Some(trouble) => trouble,
                None if outlet.is_waiting() => "its queue is full".to_owned(),
                None if outlet.is_reopening() => "it has not reopened yet".to_owned(),
                None if lost > 0 => "goes on".to_owned(),
                None => continue,
            };
            // A String takes all that is written to it.
            let _ = write!(status, "; {name}: {behind}");
            if lost > 0 {
                let _ = write!(status, ", having lost {lost}");
            }
        }
        status
    }
}

fn warn(told: io::Result<()>) {
    if let Err(err) = told {
        stderr::say(format_args!("warning: cannot tell the service manager how it stands: {err}"));
    }
}

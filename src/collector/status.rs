//! How the run stands, in a line for the service manager, and when that is told.

use std::fmt::Write as _;
use std::io;

use super::Collector;
use super::complain;
use crate::outlet::Outlet;

const TRACING: &str = "tracing";

impl Collector<'_> {
    /// Tells the service manager that the collector lives, if it is time. Who waits for an output comes here, too.
    pub(super) fn tell_alive(&mut self) {
        if self.notifier.is_due() {
            let doing = if self.notifier.is_ready() { TRACING } else { "listing what is open" };
            let status = self.status(doing);
            warn(self.notifier.beat(&status));
        }
    }

    /// Tells it that tracing has begun.
    pub(super) fn tell_ready(&mut self) {
        let status = self.status(TRACING);
        warn(self.notifier.ready(&status));
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
        complain(&format!("warning: cannot tell the service manager how it stands: {err}"));
    }
}

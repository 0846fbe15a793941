//! `connledger check`: what would be traced and written, and whether this host has what that needs. No output is opened,
//! and nothing that traces is attached. Where tracefs does not tell the numbers of tracepoints, or perf_event_open(2) is
//! refused, a small program finds out what there is instead.

mod places;
mod report;

use std::io;
use std::io::Write as _;
use std::path::Path;

use anyhow::bail;

use self::report::Report;
use crate::config::Config;
use crate::privileges;
use crate::probe;
use crate::probe::Outlook;
use crate::probe::Settings;

/// Says what a run with this configuration would do; some of it may come from `file`.
///
/// # Errors
/// If tracing could not begin, or an output not be opened: what is missing, and what to do.
pub fn run(config: &Config, file: Option<&Path>) -> anyhow::Result<()> {
    let mut report = Report::default();
    report.configuration(config, file);
    for (index, output) in config.outputs.iter().enumerate() {
        // As it is written to: without any capability, even as root.
        let doubts = privileges::without(|| places::doubts(&output.destination))?;
        report.output(index + 1, output, doubts);
    }
    let doubts =
        privileges::without(|| places::doubts_of_state(&config.remember, &config.outputs))?;
    report.state(&config.remember, doubts);
    let outlook = probe::outlook(&Settings::new(config, &config.filters));
    if let Ok(Outlook { hooks, doubts }) = &outlook {
        report.kernel(*hooks, doubts);
    }
    match io::stdout().write_all(report.text().as_bytes()) {
        Err(err) if err.kind() != io::ErrorKind::BrokenPipe => return Err(err.into()),
        _ => {}
    }
    outlook?;
    if !report.refusals().is_empty() {
        bail!("a run would end at once: {}", report.refusals().join("; "));
    }
    Ok(())
}

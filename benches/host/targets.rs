//! The targets, for a machine of two cores, on which the tool competes with the load that it watches; and
//! what was measured beside each.

use serde::Serialize;

use crate::obstacles;
use crate::statistics::Summary;

/// What is judged. What was not measured is absent.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Connections a second, over untraced.
    pub ratio: Option<Summary>,
    /// The same over tcplife.
    pub over_tcplife: Option<Summary>,
    /// All our programs, in ns a connection, both ends.
    pub kernel_ns: Option<Summary>,
    /// User CPU a record, in µs.
    pub user_us: Option<Summary>,
    /// Records that one core encodes as NDJSON a second.
    pub encoded_a_second: Option<f64>,
    /// Lines a second that a file takes, encoding included.
    pub file_lines: Option<Summary>,
    /// The same for a UNIX stream socket.
    pub unix_lines: Option<Summary>,
    /// What the collector takes for a record with two outputs, over one.
    pub two_over_one: Option<Summary>,
    /// Wake-ups in 10 s in which nothing happens.
    pub idle_wake_ups: Option<u64>,
    /// The p99 of the first line after idle, in µs.
    pub idle_p99_us: Option<f64>,
    /// The p99 under load, in µs.
    pub load_p99_us: Option<f64>,
    /// Anonymous memory in KiB: the most, and what the second half of the connections added.
    pub memory_kib: Option<(u64, u64)>,
    /// Records that were lost under the highest load, and those that should have been written.
    pub lost: Option<(u64, u64)>,
}

/// A target, and what was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Target {
    /// What it is about.
    pub what: &'static str,
    /// What is wanted.
    pub wanted: &'static str,
    /// What was measured, if it was.
    pub measured: Option<String>,
    /// Whether that is what is wanted.
    pub met: Option<bool>,
    /// If not, what stands in the way, and what was tried; where that is known.
    pub obstacle: Option<&'static str>,
}

impl Target {
    fn hindered_by(mut self, obstacle: &'static str) -> Self {
        self.obstacle = (self.met == Some(false)).then_some(obstacle);
        self
    }
}

/// What still counts as flat, over half a million connections: an allocator's moods, and the descriptions of the
/// 5,000 processes that make them. (Of these, 32,768 are kept at the most.)
const FLAT_KIB: u64 = 512 + 5_000 * 130 / 1024;

/// Holds the figures against the targets.
pub fn judge(figures: &Figures) -> Vec<Target> {
    let target = |what, wanted, judged: Option<(String, bool)>| {
        let (measured, met) = judged.unzip();
        Target { what, wanted, measured, met, obstacle: None }
    };
    vec![
        target(
            "connections a second, default events to a file, over untraced",
            "≥ 0.95",
            figures.ratio.map(|ratio| (interval(ratio, 3), ratio.median >= 0.95)),
        )
        .hindered_by(obstacles::RATIO),
        target(
            "the same over tcplife",
            "≥ 1.4",
            figures.over_tcplife.map(|ratio| (interval(ratio, 2), ratio.median >= 1.4)),
        ),
        target(
            "kernel time a connection, both ends, all our programs",
            "≤ 4 µs",
            figures.kernel_ns.map(|ns| (interval(ns.scaled(1e-3), 2) + " µs", ns.median <= 4000.0)),
        )
        .hindered_by(obstacles::KERNEL),
        target(
            "user CPU a record, whole process, NDJSON to a file",
            "≤ 0.6 µs",
            figures.user_us.map(|us| (interval(us, 2) + " µs", us.median <= 0.6)),
        ),
        target(
            "NDJSON encode, one core",
            "≥ 3 M records/s",
            figures
                .encoded_a_second
                .map(|rate| (format!("{:.2} M records/s", rate / 1e6), rate >= 3e6)),
        ),
        target(
            "lines to a file, encoding included, one core",
            "≥ 1.5 M lines/s",
            figures.file_lines.map(lines),
        ),
        target(
            "lines to a UNIX stream socket, encoding included, one core",
            "≥ 1.5 M lines/s",
            figures.unix_lines.map(lines),
        ),
        target(
            "the collector's CPU a record, two outputs over one",
            "1.00 lies in the interval, or ≤ 1.05",
            figures
                .two_over_one
                .map(|ratio| (interval(ratio, 3), ratio.median <= 1.05 || ratio.low <= 1.0)),
        )
        .hindered_by(obstacles::SECOND_OUTPUT),
        target(
            "idle",
            "no wake-up in 10 s",
            figures.idle_wake_ups.map(|count| (format!("{count} wake-ups"), count == 0)),
        ),
        target(
            "first event after idle to the written line",
            "p99 ≤ 1 ms",
            figures.idle_p99_us.map(|us| (format!("{:.2} ms", us / 1000.0), us <= 1000.0)),
        ),
        target(
            "event to written line under load",
            "p99 ≤ 30 ms",
            figures.load_p99_us.map(|us| (format!("{:.1} ms", us / 1000.0), us <= 30_000.0)),
        ),
        target(
            "anonymous memory after 1,000,000 connections from 10,000 processes",
            "≤ 24 MiB, flat",
            figures.memory_kib.map(memory),
        )
        .hindered_by(obstacles::MEMORY),
        target(
            "loss at the highest rate that this machine makes",
            "0",
            figures.lost.map(|(lost, of)| (format!("{lost} of {of} records"), lost == 0)),
        ),
    ]
}

fn lines(rate: Summary) -> (String, bool) {
    (interval(rate.scaled(1e-6), 2) + " M lines/s", rate.median >= 1.5e6)
}

fn memory((most, late): (u64, u64)) -> (String, bool) {
    let mib = most as f64 / 1024.0;
    let text = format!(
        "{mib:.1} MiB, of which {late} KiB came in the second half, with half of the processes"
    );
    (text, mib <= 24.0 && late <= FLAT_KIB)
}

/// A median, and its interval.
fn interval(summary: Summary, digits: usize) -> String {
    let Summary { median, low, high, .. } = summary;
    format!("{median:.digits$} ({low:.digits$} to {high:.digits$})")
}

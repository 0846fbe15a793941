//! What the soak tells: a line that changes on a terminal, a line for each run, a summary.

use std::io;
use std::io::IsTerminal as _;
use std::io::Write as _;
use std::time::Duration;
use std::time::Instant;

use crate::memory::GROWTH_KIB;
use crate::memory::PEAK_KIB;
use crate::memory::Verdict;
use crate::run::Outcome;
use crate::run::Output;
use crate::run::Plan;
use crate::run::Run;

/// How often the progress line changes.
const PROGRESS: Duration = Duration::from_millis(500);

/// What all runs together came to.
pub struct Report {
    begun: Instant,
    terminal: bool,
    next_progress: Instant,
    totals: Totals,
    memory: Option<Verdict>,
}

#[derive(Default)]
struct Totals {
    stopped: u32,
    killed: u32,
    pauses: u32,
    lines: u64,
    connects: u64,
    accepts: u64,
    closes: u64,
    losses: u64,
    lost: u64,
    heartbeats: u64,
}

impl Report {
    /// Nothing yet.
    pub fn new() -> Self {
        let now = Instant::now();
        Self {
            begun: now,
            terminal: io::stderr().is_terminal(),
            next_progress: now,
            totals: Totals::default(),
            memory: None,
        }
    }

    /// Runs so far.
    pub fn runs(&self) -> u32 {
        self.totals.stopped + self.totals.killed
    }

    /// Changes the progress line, where there is one.
    pub fn progress(&mut self, run: &Run, whole: Duration) {
        let now = Instant::now();
        if !self.terminal || now < self.next_progress {
            return;
        }
        self.next_progress = now + PROGRESS;
        let checker = run.checker();
        let line = format!(
            "{} of {} s, run {} ({}): {} records, {} lost, {} KiB",
            self.begun.elapsed().as_secs(),
            whole.as_secs(),
            self.runs() + 1,
            words(run.plan()),
            checker.lines(),
            checker.lost(),
            run.memory().unwrap_or(0),
        );
        let _ = write!(io::stderr(), "\r\x1b[K{line}");
    }

    /// A run is over, and nothing is wrong with it.
    pub fn passed(&mut self, plan: Plan, outcome: &Outcome) {
        let checker = &outcome.checker;
        let totals = &mut self.totals;
        *(if plan.kill { &mut totals.killed } else { &mut totals.stopped }) += 1;
        totals.pauses += outcome.pauses;
        totals.lines += checker.lines();
        totals.connects += checker.events_of("connect");
        totals.accepts += checker.events_of("accept");
        totals.closes += checker.events_of("close");
        totals.losses += checker.losses();
        totals.lost += checker.lost();
        totals.heartbeats += checker.heartbeats();
        self.memory = self.memory.or(outcome.memory);
        self.say(&format!(
            "run {} {} ({}): {:.1} s, {} pauses, {} events, {} lost in {} losses",
            self.runs(),
            checker.run(),
            words(plan),
            outcome.lasted.as_secs_f64(),
            outcome.pauses,
            checker.written(),
            checker.lost(),
            checker.losses(),
        ));
    }

    /// A line of its own.
    pub fn say(&self, text: &str) {
        let clear = if self.terminal { "\r\x1b[K" } else { "" };
        let _ = writeln!(io::stderr(), "{clear}{text}");
    }

    /// What the soak did not come to do: then it has shown nothing.
    #[must_use]
    pub fn omissions(&self) -> Vec<&'static str> {
        let Totals { connects, accepts, closes, losses, stopped, killed, heartbeats, .. } =
            self.totals;
        let mut omissions = Vec::new();
        for (done, what) in [
            (u64::from(stopped), "no run was stopped"),
            (u64::from(killed), "no run was killed"),
            (connects.min(accepts).min(closes), "no connects, no accepts or no closes were told"),
            (losses, "no pause made a loss"),
            (heartbeats, "there was no heartbeat"),
            (u64::from(self.memory.is_some()), "no run was long enough to judge its memory"),
        ] {
            if done == 0 {
                omissions.push(what);
            }
        }
        omissions
    }

    /// The sum of it.
    pub fn summarize(&self) {
        let t = &self.totals;
        self.say(&format!(
            "soak: {} s, {} runs ({} stopped, {} killed), {} pauses\n      {} records: {} connects, \
             {} accepts, {} closes, {} heartbeats; {} lost, in {} losses",
            self.begun.elapsed().as_secs(),
            self.runs(),
            t.stopped,
            t.killed,
            t.pauses,
            t.lines,
            t.connects,
            t.accepts,
            t.closes,
            t.heartbeats,
            t.lost,
            t.losses,
        ));
        if let Some(Verdict { first, last, peak }) = self.memory {
            self.say(&format!(
                "      memory of the long run: {first} KiB after the warm-up, {last} KiB at the end (at most \
                 {GROWTH_KIB} more), {peak} KiB at most (limit {PEAK_KIB})",
            ));
        }
    }
}

fn words(plan: Plan) -> String {
    let output = match plan.output {
        Output::File => "file",
        Output::Pipe => "pipe",
    };
    format!("{output}, {}", if plan.kill { "killed" } else { "stopped" })
}

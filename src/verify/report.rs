//! What came of it: the report, as `--json` prints it and schema/connledger-verify-1.schema.json describes it.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::process::ExitCode;

use serde::Serialize;

use super::Findings;
use super::Log;
use super::Request;
use super::input::Compression;
use super::input::Source;
use super::problems::Kind;
use super::problems::NAMED;
use super::problems::Problems;
use super::problems::printable;
use super::record::Causes;
use super::record::RunId;
use super::record::Time;
use super::runs::Before;
use super::runs::Run;

/// Name and version of the report's form.
const SCHEMA: &str = "connledger-verify/1";

/// The report.
#[derive(Debug, Serialize)]
pub struct Report {
    schema: &'static str,
    /// What it comes to.
    pub verdict: Verdict,
    /// Whether losses and runs without an end counted.
    pub strict: bool,
    /// The logs.
    pub files: Vec<FileReport>,
    /// Lines of all of them.
    pub lines: u64,
    /// Of a newer minor than this program writes.
    #[serde(skip_serializing_if = "is_zero")]
    pub newer_records: u64,
    /// The runs, host by host, as they followed each other.
    pub runs: Vec<RunReport>,
    /// What is wrong, besides what is missing.
    pub problems: Vec<ProblemReport>,
}

/// What it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing is missing or wrong
    Sound,
    /// Something is missing or wrong
    Faulty,
    /// Not everything could be read
    Unread,
}

impl Verdict {
    /// For the shell.
    #[must_use]
    pub fn exit_code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Sound => 0,
            Self::Faulty => 1,
            Self::Unread => 2,
        })
    }
}

/// A log.
#[derive(Debug, Serialize)]
pub struct FileReport {
    /// Its name.
    pub file: String,
    /// How it is compressed.
    pub compression: Compression,
    /// Its lines.
    pub lines: u64,
    /// Its bytes, uncompressed.
    pub bytes: u64,
    /// Why it could not be read, or not to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A run.
#[derive(Debug, Serialize)]
pub struct RunReport {
    /// Its id.
    pub run: String,
    /// The host's name.
    pub host: String,
    /// The first and the last number that are known of.
    pub first_seq: u64,
    /// The last one.
    pub last_seq: u64,
    /// The earliest time of a record.
    pub first_time: String,
    /// The latest one.
    pub last_time: String,
    /// Whether its `start` is there.
    pub started: bool,
    /// Why it ended; absent if its `stop` is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<&'static str>,
    /// The outputs that its records went through.
    pub outputs: Vec<String>,
    /// Records that are there, each counted once; a `loss` is none.
    pub records: u64,
    /// Of these, events.
    pub events: u64,
    /// Records that came once more.
    #[serde(skip_serializing_if = "is_zero")]
    pub doubles: u64,
    /// Of these, those too far from the first to be compared.
    #[serde(skip_serializing_if = "is_zero")]
    pub uncompared: u64,
    /// Declared lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<Lost>,
    /// Neither there nor declared lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
    /// The run whose `start` names this one as the one before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub followed_by: Option<FollowedBy>,
    /// What the host's run before it has to do with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follows: Option<Follows>,
}

/// What was declared lost.
#[derive(Debug, Serialize)]
pub struct Lost {
    /// How many.
    pub records: u64,
    /// By cause.
    pub causes: BTreeMap<&'static str, u64>,
    /// Of these, those that are there all the same.
    #[serde(skip_serializing_if = "is_zero")]
    pub but_there: u64,
}

/// What is missing.
#[derive(Debug, Serialize)]
pub struct Missing {
    /// How many.
    pub records: u64,
    /// In how many places.
    pub gaps: u64,
    /// Of these, those behind its last record: the run after it says that they were given.
    #[serde(skip_serializing_if = "is_zero")]
    pub at_end: u64,
    /// The first of them: first and last number.
    pub ranges: Vec<(u64, u64)>,
    /// Those of which the beginning is there, in a torn line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub torn: Vec<u64>,
}

/// What the run after says of a run.
#[derive(Debug, Serialize)]
pub struct FollowedBy {
    /// That one.
    pub run: String,
    /// The last number that this run had given.
    pub seq: u64,
    /// Whether this run came to its end, as that has it.
    pub stopped: bool,
}

/// How a run follows the one before.
#[derive(Debug, Serialize)]
pub struct Follows {
    /// That one: which its `start` names; else the host's one before, of several at a time the one that went on longest.
    pub run: String,
    /// Whether its `start` names it.
    pub named: bool,
    /// Whether there are records of it.
    pub found: bool,
    /// Whether they ought to be there: those of an earlier run of the same host and output are.
    #[serde(skip_serializing_if = "is_false")]
    pub expected: bool,
    /// Runs between the two that left no line, as the `start` has it.
    #[serde(skip_serializing_if = "is_zero")]
    pub unwritten: u64,
    /// Another run whose `start` names the same one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub also_before: Option<String>,
    /// Whether it came to its end, as the `start` has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<bool>,
    /// For how long nobody watched, as the `start` has it, microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap_us: Option<u64>,
    /// From its last record to the first of this run, microseconds; negative if they overlap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_us: Option<i64>,
}

/// Problems of a kind.
#[derive(Debug, Serialize)]
pub struct ProblemReport {
    /// Which.
    pub kind: Kind,
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first: Vec<PlacedProblem>,
}

/// A problem, and where it is.
#[derive(Debug, Serialize)]
pub struct PlacedProblem {
    /// The log; absent if it is of a run as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// What is wrong.
    pub what: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl Report {
    pub(super) fn of(findings: Findings, request: &Request) -> Self {
        let names: Vec<String> =
            request.sources.iter().map(|source| printable(&source.to_string())).collect();
        let mut report = Self {
            schema: SCHEMA,
            verdict: Verdict::Sound,
            strict: request.strict,
            lines: findings.logs.iter().map(|log| log.lines).sum(),
            newer_records: findings.newer,
            runs: runs(findings.runs.all),
            problems: findings
                .problems
                .iter()
                .map(|(kind, problems)| problem_report(kind, problems, &names))
                .collect(),
            files: request.sources.iter().zip(findings.logs).map(file_report).collect(),
        };
        report.verdict = report.judge();
        report
    }

    fn judge(&self) -> Verdict {
        if self.files.iter().any(|file| file.error.is_some()) {
            return Verdict::Unread;
        }
        let runs = || self.runs.iter();
        let missing = runs().any(|run| run.missing.is_some());
        let unfinished = runs().any(|run| !run.started || run.stopped.is_none());
        let lossy = runs().any(|run| run.lost.is_some());
        // What they had given is nowhere.
        let absent = runs().any(|run| run.follows.as_ref().is_some_and(Follows::lacks_runs));
        let strictly = self.strict && (unfinished || lossy || absent || self.runs.is_empty());
        if missing || strictly || !self.problems.is_empty() {
            return Verdict::Faulty;
        }
        Verdict::Sound
    }
}

impl Follows {
    /// Whether runs between are missing as a whole.
    #[must_use]
    pub fn lacks_runs(&self) -> bool {
        self.expected || self.unwritten != 0
    }
}

fn file_report((source, log): (&Source, Log)) -> FileReport {
    FileReport {
        file: printable(&source.to_string()),
        compression: log.compression,
        lines: log.lines,
        bytes: log.bytes,
        error: log.error.map(|err| printable(&err.to_string())),
    }
}

fn problem_report(kind: Kind, problems: &Problems, names: &[String]) -> ProblemReport {
    let first = problems.first.iter().map(|problem| PlacedProblem {
        file: problem.place.and_then(|place| names.get(place.file).cloned()),
        line: problem.place.map(|place| place.line),
        what: problem.what.clone(),
    });
    ProblemReport { kind, count: problems.count, first: first.collect() }
}

/// The runs, host by host, from the earliest to the latest.
fn runs(mut runs: Vec<Run>) -> Vec<RunReport> {
    runs.sort_by(|a, b| (&a.host, a.times, a.id).cmp(&(&b.host, b.times, b.id)));
    // Of each host, the run that went on longest so far, and until when.
    let mut latest: HashMap<&str, (&Run, Time)> = HashMap::new();
    let ends: HashMap<RunId, Time> = runs.iter().map(|run| (run.id, run.times.1)).collect();
    let mut reports = Vec::new();
    for (at, run) in runs.iter().enumerate() {
        let named = run.previous.as_ref().map(|before| {
            let end = ends.get(&before.run);
            let expected = end.is_none() && has_earlier(run, &runs[..at]);
            Follows { expected, ..named(run, before, end) }
        });
        let by_time =
            || latest.get(run.host.as_str()).map(|(before, until)| by_time(run, before, until));
        reports.push(run_report(run, named.or_else(by_time)));
        let entry = latest.entry(&run.host).or_insert((run, run.times.1));
        if run.times.1 >= entry.1 {
            *entry = (run, run.times.1);
        }
    }
    reports
}

/// Whether one of these, which are sorted, is an earlier one of the same host and output.
fn has_earlier(run: &Run, sorted: &[Run]) -> bool {
    let of_host = sorted.iter().rev().take_while(|earlier| earlier.host == run.host);
    of_host.into_iter().any(|earlier| {
        earlier.times.1 < run.times.0
            && earlier.outputs.iter().any(|output| run.outputs.contains(output))
    })
}

/// The run before, as the `start` of this one names it.
fn named(run: &Run, before: &Before, end: Option<&Time>) -> Follows {
    Follows {
        run: before.run.to_string(),
        named: true,
        found: end.is_some(),
        expected: false,
        unwritten: before.unwritten,
        also_before: run.rival.map(|rival| rival.to_string()),
        stopped: Some(before.stopped),
        gap_us: before.gap_us,
        after_us: end.map(|end| run.times.0.micros_since(end)),
    }
}

/// The host's run before, where no `start` names it.
fn by_time(run: &Run, before: &Run, until: &Time) -> Follows {
    Follows {
        run: before.id.to_string(),
        named: false,
        found: true,
        expected: false,
        unwritten: 0,
        also_before: None,
        stopped: None,
        gap_us: None,
        after_us: Some(run.times.0.micros_since(until)),
    }
}

fn run_report(run: &Run, follows: Option<Follows>) -> RunReport {
    RunReport {
        run: run.id.to_string(),
        host: run.host.clone(),
        first_seq: run.first().unwrap_or_default(),
        last_seq: run.last().unwrap_or_default(),
        first_time: run.times.0.text().to_owned(),
        last_time: run.times.1.text().to_owned(),
        started: run.started,
        stopped: run.stop.as_ref().map(|stop| stop.reason),
        outputs: run.outputs.iter().map(|name| printable(&name.0)).collect(),
        records: run.records.count(),
        events: run.events,
        doubles: run.doubles,
        uncompared: run.uncompared,
        lost: lost(run),
        missing: missing(run),
        followed_by: run.next.map(|next| FollowedBy {
            run: next.run.to_string(),
            seq: next.seq,
            stopped: next.stopped,
        }),
        follows,
    }
}

fn lost(run: &Run) -> Option<Lost> {
    let records = run.declared.count();
    (records != 0).then(|| Lost {
        records,
        causes: Causes::iter(&run.causes).collect(),
        but_there: run.records.common(&run.declared),
    })
}

fn missing(run: &Run) -> Option<Missing> {
    let missing = run.missing();
    let records = missing.count();
    let mut torn = run.torn.clone();
    torn.retain(|seq| missing.contains(*seq));
    torn.sort_unstable();
    torn.dedup();
    (records != 0).then(|| Missing {
        records,
        gaps: missing.iter().count() as u64,
        at_end: run.last().unwrap_or_default() - run.last_there().unwrap_or_default(),
        ranges: missing.iter().take(NAMED).collect(),
        torn,
    })
}

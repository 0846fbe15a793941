//! Holds a log against the ledger's rules, line by line while it is written: what a reader can know from the log
//! alone. Its memory does not grow with the log.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::BuildHasher as _;
use std::hash::BuildHasherDefault;
use std::hash::DefaultHasher;

use serde::Deserialize;

/// A line stays under this, as the schema says.
const LONGEST_LINE: usize = 8192;

/// What a fault of the tracer's own would be called: no load may make one.
const NEVER: [&str; 2] = ["malformed", "unaccounted"];

/// How many connections' events are remembered to find doubles: 8 MiB of them. A double comes, if at all, close to
/// its twin.
const REMEMBERED: usize = 1 << 20;

/// What is wrong with a log, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// The run, as its records name it; empty if none could be read.
    pub run: String,
    /// Where it was found: the number that was due.
    pub seq: u64,
    /// What it is.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let run = if self.run.is_empty() { "(unnamed)" } else { &self.run };
        write!(f, "run {run}, seq {}: {}", self.seq, self.what)
    }
}

/// How a run came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was asked to stop: the books must be closed.
    Stopped,
    /// It was killed: what it wrote must be right, its last line may be torn.
    Killed,
    /// It was killed, and its output is one that never has a torn line.
    KilledUntorn,
}

/// What is read of a line. That the rest is JSON is checked on the way.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    schema: Cow<'a, str>,
    #[serde(borrow)]
    run: Cow<'a, str>,
    seq: u64,
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow)]
    conn: Option<Cow<'a, str>>,
    first_seq: Option<u64>,
    last_seq: Option<u64>,
    count: Option<u64>,
    #[serde(borrow)]
    causes: Option<BTreeMap<Cow<'a, str>, u64>>,
    observed: Option<u64>,
    written: Option<u64>,
    lost: Option<u64>,
    filtered: Option<u64>,
    in_flight: Option<u64>,
}

/// The books as a heartbeat or the stop tells them.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    observed: u64,
    written: u64,
    lost: u64,
    filtered: u64,
}

/// What was found in a log so far.
#[derive(Debug)]
pub struct Checker {
    run: String,
    next_seq: u64,
    lines: u64,
    events: BTreeMap<String, u64>,
    lost: BTreeMap<String, u64>,
    losses: u64,
    heartbeats: u64,
    last: Figures,
    ready: bool,
    stopped: bool,
    /// Hashes of connection and kind, each in the one place it can have.
    seen: Vec<u64>,
    hasher: BuildHasherDefault<DefaultHasher>,
}

impl Default for Checker {
    fn default() -> Self {
        Self {
            run: String::new(),
            next_seq: 1,
            lines: 0,
            events: BTreeMap::new(),
            lost: BTreeMap::new(),
            losses: 0,
            heartbeats: 0,
            last: Figures::default(),
            ready: false,
            stopped: false,
            seen: vec![0; REMEMBERED],
            hasher: BuildHasherDefault::default(),
        }
    }
}

impl Checker {
    /// Takes the next line, without its newline.
    ///
    /// # Errors
    /// If it cannot follow what came before.
    pub fn take(&mut self, line: &[u8]) -> Result<(), Finding> {
        if line.len() >= LONGEST_LINE {
            return self.found(format!("a line of {} bytes", line.len()));
        }
        let record: Line<'_> = match serde_json::from_slice(line) {
            Ok(record) => record,
            Err(err) => return self.found(format!("no record: {err}: {}", excerpt(line))),
        };
        self.lines += 1;
        self.head(&record)?;
        self.number(&record)?;
        match record.event.as_ref() {
            "start" if self.next_seq == 1 => {}
            "start" => return self.found("a second start".to_owned()),
            "ready" if !self.ready => self.ready = true,
            "ready" => return self.found("a second ready".to_owned()),
            "loss" => return self.loss(&record),
            "heartbeat" => self.heartbeat(&record)?,
            "stop" => self.stop(&record)?,
            kind => self.event(kind, &record)?,
        }
        self.next_seq += 1;
        Ok(())
    }

    /// The log has ended, after `rest` bytes that no newline ends.
    ///
    /// # Errors
    /// If it must not end here.
    pub fn end(&self, ending: Ending, rest: usize) -> Result<(), Finding> {
        if ending == Ending::Stopped && !self.stopped {
            return self.found("it ends without a stop".to_owned());
        }
        if ending != Ending::Killed && rest > 0 {
            return self.found(format!("the last line is torn after {rest} bytes"));
        }
        Ok(())
    }

    fn head(&mut self, record: &Line<'_>) -> Result<(), Finding> {
        if record.schema != "connledger/1.0" {
            return self.found(format!("the schema is {}", record.schema));
        }
        if self.run.is_empty() {
            record.run.as_ref().clone_into(&mut self.run);
            if record.event != "start" {
                return self.found(format!("it begins with {}", record.event));
            }
        }
        if record.run != self.run {
            return self.found(format!("a record of run {} stands in it", record.run));
        }
        if self.stopped {
            return self.found(format!("{} {} follows the stop", record.event, record.seq));
        }
        Ok(())
    }

    fn number(&self, record: &Line<'_>) -> Result<(), Finding> {
        match record.seq {
            seq if seq < self.next_seq => self.found(format!("{seq} stands there again")),
            seq if seq > self.next_seq => {
                self.found(format!("{} records are missing: {seq} follows", seq - self.next_seq))
            }
            _ => Ok(()),
        }
    }

    fn loss(&mut self, record: &Line<'_>) -> Result<(), Finding> {
        let (Some(first), Some(last), Some(count), Some(causes)) =
            (record.first_seq, record.last_seq, record.count, &record.causes)
        else {
            return self.found("a loss without its range, count or causes".to_owned());
        };
        if first != self.next_seq || last < first {
            return self.found(format!("a loss of {first} to {last}"));
        }
        if count != last - first + 1 {
            return self.found(format!("a loss of {first} to {last} counts {count}"));
        }
        if causes.values().sum::<u64>() != count {
            return self.found(format!("the causes of a loss of {count} have another sum"));
        }
        for (cause, count) in causes {
            if NEVER.contains(&cause.as_ref()) {
                return self.found(format!("{count} records are {cause}"));
            }
            *self.lost.entry(cause.to_string()).or_default() += count;
        }
        self.losses += 1;
        self.next_seq = last + 1;
        Ok(())
    }

    fn heartbeat(&mut self, record: &Line<'_>) -> Result<(), Finding> {
        let figures = self.figures(record)?;
        let Some(in_flight) = record.in_flight else {
            return self.found("a heartbeat without in_flight".to_owned());
        };
        if figures.observed != figures.written + figures.lost + figures.filtered + in_flight {
            return self.found(format!("a heartbeat is out of balance: {figures:?}, {in_flight}"));
        }
        self.heartbeats += 1;
        Ok(())
    }

    fn stop(&mut self, record: &Line<'_>) -> Result<(), Finding> {
        let figures = self.figures(record)?;
        if figures.observed != figures.written + figures.lost + figures.filtered {
            return self.found(format!("the books do not balance: {figures:?}"));
        }
        self.stopped = true;
        Ok(())
    }

    /// The figures of a record, which must be those of the log up to it, and no smaller than before.
    fn figures(&mut self, record: &Line<'_>) -> Result<Figures, Finding> {
        let (Some(observed), Some(written), Some(lost), Some(filtered)) =
            (record.observed, record.written, record.lost, record.filtered)
        else {
            return self.found(format!("a {} without figures", record.event));
        };
        let figures = Figures { observed, written, lost, filtered };
        if written != self.written() {
            return self.found(format!("{written} written, {} stand there", self.written()));
        }
        if lost != self.lost() {
            return self.found(format!("{lost} lost, {} were declared", self.lost()));
        }
        let causes = record.causes.iter().flatten();
        if !causes
            .map(|(cause, count)| (cause.as_ref(), count))
            .eq(self.lost.iter().map(|(cause, count)| (cause.as_str(), count)))
        {
            return self.found(format!("its causes are not those declared: {:?}", self.lost));
        }
        if observed < self.last.observed || filtered < self.last.filtered {
            return self.found(format!("figures shrink: {:?}, then {figures:?}", self.last));
        }
        self.last = figures;
        Ok(figures)
    }

    fn event(&mut self, kind: &str, record: &Line<'_>) -> Result<(), Finding> {
        match self.events.get_mut(kind) {
            Some(count) => *count += 1,
            None => {
                self.events.insert(kind.to_owned(), 1);
            }
        }
        // Of each of these a connection has one.
        let once = matches!(kind, "connect" | "accept" | "close" | "open");
        let Some(conn) = record.conn.as_ref().filter(|_| once) else { return Ok(()) };
        let hash = self.hasher.hash_one((conn.as_ref(), kind));
        #[expect(clippy::cast_possible_truncation, reason = "its lowest bits are wanted")]
        let place = &mut self.seen[hash as usize % REMEMBERED];
        if *place == hash {
            return self.found(format!("the {kind} of {conn} is told twice"));
        }
        *place = hash;
        Ok(())
    }

    fn found<T>(&self, what: String) -> Result<T, Finding> {
        Err(self.finding(what))
    }

    /// Something that was found here.
    #[must_use]
    pub fn finding(&self, what: String) -> Finding {
        Finding { run: self.run.clone(), seq: self.next_seq, what }
    }

    /// As the run's records name it.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Lines taken.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Events that stand there.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.events.values().sum()
    }

    /// Events of a kind that stand there.
    #[must_use]
    pub fn events_of(&self, kind: &str) -> u64 {
        self.events.get(kind).copied().unwrap_or(0)
    }

    /// Events that were declared lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.values().sum()
    }

    /// Loss records.
    #[must_use]
    pub fn losses(&self) -> u64 {
        self.losses
    }

    /// Heartbeats.
    #[must_use]
    pub fn heartbeats(&self) -> u64 {
        self.heartbeats
    }

    /// Whether tracing has begun.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready
    }
}

/// As much of a line as tells it from others.
fn excerpt(line: &[u8]) -> String {
    const ENOUGH: usize = 300;
    let text = String::from_utf8_lossy(&line[..line.len().min(ENOUGH)]).into_owned();
    if line.len() > ENOUGH { format!("{text}…") } else { text }
}

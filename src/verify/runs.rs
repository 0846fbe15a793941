//! The runs as their records come in, in any order: which numbers are there, which were declared lost, and what the
//! ledger says of itself. A run takes as much memory as it has gaps.

use std::collections::HashMap;

use super::doubles::Window;
use super::problems::Kind;
use super::problems::Ledger;
use super::problems::NAMED;
use super::problems::Place;
use super::ranges::Ranges;
use super::record::Body;
use super::record::Causes;
use super::record::Figures;
use super::record::Loss;
use super::record::Object;
use super::record::OutputName;
use super::record::Previous;
use super::record::Record;
use super::record::RunId;
use super::record::Stop;
use super::record::Time;
use super::record::Torn;

/// One run of connledger, as far as its records were read.
#[derive(Debug)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// The host's name.
    pub host: String,
    /// The earliest and the latest time of its records.
    pub times: (Time, Time),
    /// Records that are there.
    pub records: Ranges,
    /// Records that were declared lost.
    pub declared: Ranges,
    /// Why they were lost.
    pub causes: Causes,
    /// Records that are events.
    pub events: u64,
    /// Records of kinds that only a newer minor knows.
    pub unknown: u64,
    /// Records that came once more.
    pub doubles: u64,
    /// Of these, those too far from the first to be compared.
    pub uncompared: u64,
    /// Whether its `start` is there.
    pub started: bool,
    /// Its end.
    pub stop: Option<End>,
    /// The run before it, as its `start` has it.
    pub previous: Option<Before>,
    /// The run after it, and what that says of it.
    pub next: Option<Next>,
    /// Another run that names the same one before it.
    pub rival: Option<RunId>,
    /// The outputs that its records went through, as far as they name them.
    pub outputs: Vec<OutputName>,
    /// Numbers of records of which only the beginning is there; the first of them, and the greatest.
    pub torn: Vec<u64>,
}

/// What a run says of the one before it.
#[derive(Clone, Copy, Debug)]
pub struct Before {
    /// Its id.
    pub run: RunId,
    /// The last number that it gave.
    pub seq: u64,
    /// Whether it came to its end.
    pub stopped: bool,
    /// For how long nobody watched, microseconds.
    pub gap_us: Option<u64>,
    /// Runs between that left no line.
    pub unwritten: u64,
}

/// What the run after says of a run.
#[derive(Clone, Copy, Debug)]
pub struct Next {
    /// That one.
    pub run: RunId,
    /// The last number that this one gave.
    pub seq: u64,
    /// Whether this one came to its end.
    pub stopped: bool,
}

/// The end of a run.
#[derive(Debug)]
pub struct End {
    /// The number of its `stop`.
    pub seq: u64,
    /// Why it ended.
    pub reason: &'static str,
    /// The closed books.
    pub figures: Figures,
    /// Where it stands.
    pub place: Place,
}

impl From<&Previous> for Before {
    fn from(previous: &Previous) -> Self {
        Self {
            run: previous.run,
            seq: previous.seq.0,
            stopped: previous.has_stopped(),
            gap_us: previous.gap_us(),
            unwritten: previous.unwritten(),
        }
    }
}

impl Run {
    fn new(record: &Record<'_>) -> Self {
        Self {
            id: record.run,
            host: String::new(),
            times: (record.time, record.time),
            records: Ranges::default(),
            declared: Ranges::default(),
            causes: Causes::default(),
            events: 0,
            unknown: 0,
            doubles: 0,
            uncompared: 0,
            started: false,
            stop: None,
            previous: None,
            next: None,
            rival: None,
            outputs: Vec::new(),
            torn: Vec::new(),
        }
    }

    /// The numbers that are there or were declared lost.
    #[must_use]
    pub fn covered(&self) -> Ranges {
        self.records.union(&self.declared)
    }

    /// The first number that is known of.
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        [self.records.first(), self.declared.first()].into_iter().flatten().min()
    }

    /// The last number that is known of, torn or not, or by what the run after it says.
    #[must_use]
    pub fn last(&self) -> Option<u64> {
        let given = self.next.map(|next| next.seq);
        [self.last_there(), given].into_iter().flatten().max()
    }

    /// The last number that is known of by its own records, torn or not.
    #[must_use]
    pub fn last_there(&self) -> Option<u64> {
        let torn = self.torn.iter().copied().max();
        [self.records.last(), self.declared.last(), torn].into_iter().flatten().max()
    }

    /// What is missing: neither there nor declared lost, from the first to the last number that is known of.
    #[must_use]
    pub fn missing(&self) -> Ranges {
        match (self.first(), self.last()) {
            (Some(first), Some(last)) => self.covered().gaps(first, last),
            _ => Ranges::default(),
        }
    }

    /// Whether all of it is there or declared lost, from the first record to the `stop`.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let end = self.stop.as_ref().map(|stop| stop.seq);
        self.first() == Some(1) && end == self.last() && self.missing().count() == 0
    }

    fn names(&mut self, output: &OutputName) {
        if !self.outputs.contains(output) {
            self.outputs.push(output.clone());
        }
    }
}

/// All runs.
#[derive(Debug, Default)]
pub struct Runs {
    /// In the order in which they were first read.
    pub all: Vec<Run>,
    places: HashMap<RunId, usize>,
    /// The run of the last record: records of one run mostly follow each other.
    last: usize,
    window: Window,
    /// Torn lines of runs of which nothing else was read yet.
    orphans: Vec<(RunId, u64)>,
}

impl Runs {
    /// Takes a record, and its line.
    pub fn take(&mut self, record: &Record<'_>, line: &[u8], place: Place, problems: &mut Ledger) {
        let at = self.place(record);
        let run = &mut self.all[at];
        run.times = (run.times.0.min(record.time), run.times.1.max(record.time));
        if let Body::Loss(loss) = &record.body {
            take_loss(run, loss);
            return;
        }
        let output = match &record.body {
            Body::Start(start) => Some(&start.output),
            Body::Heartbeat(figures) => Some(&figures.output),
            Body::Stop(stop) => Some(&stop.figures.output),
            _ => None,
        };
        if let Some(output) = output {
            run.names(output);
        }
        let key = self.window.key(record.run, record.seq, output);
        let same = self.window.compare(key, line);
        if run.records.insert(record.seq, record.seq) == 0 {
            run.doubles += 1;
            // What names its output is another record in the log of another one.
            let elsewhere = output.is_some() && run.outputs.len() > 1;
            match same {
                Some(true) => {}
                None => run.uncompared += u64::from(!elsewhere),
                Some(false) => problems.add(Kind::Altered, Some(place), || {
                    format!(
                        "run {}: {} came before, and said something else",
                        record.run, record.seq
                    )
                }),
            }
            return;
        }
        take_body(run, record, place, problems);
    }

    /// Where the record's run is.
    fn place(&mut self, record: &Record<'_>) -> usize {
        if self.all.get(self.last).is_none_or(|run| run.id != record.run) {
            let new = self.all.len();
            self.last = *self.places.entry(record.run).or_insert(new);
            if self.last == new {
                let host = super::problems::printable(&record.host);
                self.all.push(Run { host, ..Run::new(record) });
                self.adopt(new);
            }
        }
        self.last
    }

    /// Takes a line that ends in the middle.
    pub fn take_torn(&mut self, torn: Torn) {
        let Torn { run: Some(id), seq: Some(seq) } = torn else { return };
        match self.places.get(&id) {
            Some(&at) => remember(&mut self.all[at].torn, seq),
            None if self.orphans.len() < NAMED => self.orphans.push((id, seq)),
            None => {}
        }
    }

    fn adopt(&mut self, at: usize) {
        let run = &mut self.all[at];
        for (_, seq) in self.orphans.extract_if(.., |(id, _)| *id == run.id) {
            remember(&mut run.torn, seq);
        }
    }
}

/// Keeps the first numbers, and in the last place the greatest.
fn remember(torn: &mut Vec<u64>, seq: u64) {
    if torn.len() < NAMED {
        torn.push(seq);
    } else if let Some(last) = torn.last_mut() {
        *last = seq.max(*last);
    }
}

fn take_loss(run: &mut Run, loss: &Loss) {
    let (first, last) = loss.range();
    if run.declared.insert(first, last) == 0 {
        run.doubles += 1;
    } else {
        run.causes.add(&loss.causes);
    }
}

fn take_body(run: &mut Run, record: &Record<'_>, place: Place, problems: &mut Ledger) {
    let id = record.run;
    match &record.body {
        Body::Event => run.events += 1,
        Body::Unknown => run.unknown += 1,
        Body::Ready | Body::Loss(_) => {}
        Body::Start(start) => {
            run.started = true;
            run.previous = start.previous.as_ref().map(|Object(previous)| previous.into());
            if record.seq != 1 {
                problems.add(Kind::Misplaced, Some(place), || {
                    format!("run {id}: its start is {}, not 1", record.seq)
                });
            }
        }
        Body::Heartbeat(figures) => check_figures(id, figures, false, place, problems),
        Body::Stop(stop) => take_stop(run, record.seq, stop, place, problems),
    }
}

fn take_stop(run: &mut Run, seq: u64, stop: &Stop, place: Place, problems: &mut Ledger) {
    check_figures(run.id, &stop.figures, true, place, problems);
    if let Some(earlier) = &run.stop {
        problems.add(Kind::Misplaced, Some(place), || {
            format!("run {}: a second stop, {seq} besides {}", run.id, earlier.seq)
        });
        return;
    }
    run.stop = Some(End { seq, reason: stop.reason, figures: stop.figures.clone(), place });
}

/// Whether figures balance by themselves.
fn check_figures(id: RunId, figures: &Figures, at_end: bool, place: Place, problems: &mut Ledger) {
    let mut complain = |who: &str, what: &str| {
        problems.add(Kind::Books, Some(place), || format!("run {id}: {who}: {what}"));
    };
    let Figures { observed, filtered, ledger, .. } = figures;
    if !ledger.causes_add_up() {
        complain("the ledger", "lost is not the sum of causes");
    }
    // A heartbeat may tell of events that were written after the counters had been read.
    let ahead = !at_end && ledger.in_flight == 0 && ledger.total(*filtered) >= *observed;
    if !ahead && !ledger.balances(*observed, *filtered) {
        complain("the ledger", "observed is not the sum of written, lost, filtered and in_flight");
    }
    for (output, account) in &figures.outputs {
        if !account.causes_add_up() {
            complain(&output.0, "lost is not the sum of causes");
        }
        // Between, the outputs go on while their figures are read.
        if at_end && !account.balances(*observed, *filtered) {
            complain(&output.0, "observed is not the sum of written, lost, filtered and in_flight");
        }
    }
}

impl Runs {
    /// All are read: what each says of the one before it is known of that one, too.
    pub fn chain(&mut self) {
        for at in 0..self.all.len() {
            let Run { id, previous, .. } = self.all[at];
            let Some(before) = previous.filter(|before| before.run != id) else { continue };
            let Some(&place) = self.places.get(&before.run) else { continue };
            let next = Next { run: id, seq: before.seq, stopped: before.stopped };
            // There is one run after each, unless what they remember was set back.
            match self.all[place].next {
                Some(other) => {
                    self.all[at].rival = Some(other.run);
                    if let Some(&rival) = self.places.get(&other.run) {
                        self.all[rival].rival = Some(id);
                    }
                    if other.seq < next.seq {
                        self.all[place].next = Some(next);
                    }
                }
                None => self.all[place].next = Some(next),
            }
        }
    }
}

/// Whether what was read of each run is what its books say, and nothing comes behind its end.
pub fn close(runs: &[Run], problems: &mut Ledger) {
    for run in runs {
        let Some(stop) = &run.stop else { continue };
        if let Some(last) = run.last_there().filter(|last| *last > stop.seq) {
            problems.add(Kind::Misplaced, Some(stop.place), || {
                format!("run {}: its stop is {}, but there is a {last}", run.id, stop.seq)
            });
        }
        compare(run, stop, problems);
    }
}

/// Compares the events and losses of a run with the books of the output that they went through. That can be said
/// only of a whole log of one output.
fn compare(run: &Run, stop: &End, problems: &mut Ledger) {
    let several = run.outputs.len() > 1 || run.records.common(&run.declared) != 0;
    if several || run.unknown != 0 || !run.is_whole() {
        return;
    }
    let own = stop.figures.outputs.iter().find(|(name, _)| *name == stop.figures.output);
    let Some((name, account)) = own else { return };
    let OutputName(name) = name;
    // What was on its way when `stop` was made is there by now, or declared lost.
    if account.in_flight != 0 {
        let there = run.events.saturating_add(run.causes.events());
        let told = account.total(0);
        if there != told && told < super::record::MAX_EXACT {
            problems.add(Kind::Books, Some(stop.place), || {
                format!(
                    "run {}: {there} events are there or declared lost, but {name} counts {told}",
                    run.id
                )
            });
        }
        return;
    }
    for (what, there, told) in [
        ("events are there", run.events, account.written),
        ("events are declared lost", run.causes.events(), account.lost),
    ] {
        if there != told && told < super::record::MAX_EXACT {
            problems.add(Kind::Books, Some(stop.place), || {
                format!("run {}: {there} {what}, but {name} counts {told}", run.id)
            });
        }
    }
}

//! The balance of what a consumer received of a run: every number once, or covered by a declared loss; every event
//! byte by byte as standard output had it; and the figures of the output agree.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::line;
use crate::line::Record;
use crate::shipper::Sent;

/// Of what the kernel side may lose beside other traffic on the machine, which no output can help.
const BY_THE_KERNEL: [&str; 2] = ["descriptor_gone", "nested"];

/// Of a loss's records, those that are no events.
const OWN_RECORD: &str = "own_record";

/// How a run came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was stopped: its last record is there, with the figures.
    Stopped,
    /// It was killed: what came ends anywhere.
    Killed,
}

/// What came of a run, without doubles.
#[derive(Debug)]
pub struct Balance {
    /// Events.
    pub events: usize,
    /// Records covered by losses, by cause.
    pub lost: BTreeMap<String, u64>,
    /// Lines that came again.
    pub doubles: usize,
    /// Numbers that are neither there nor declared lost.
    pub missing: Vec<RangeInclusive<u64>>,
}

impl Balance {
    /// Draws it up, from all that the consumer wrote.
    pub fn of(sent: &Sent, received: &[String], ending: Ending) -> Self {
        let (lines, doubles) = once(&sent.run, received);
        let told: BTreeMap<u64, &String> =
            sent.lines.iter().map(|line| (line::parse(line).seq, line)).collect();
        let mut balance = Self { events: 0, lost: BTreeMap::new(), doubles, missing: Vec::new() };
        let mut next = 1;
        for (&seq, (line, record)) in &lines {
            assert!(seq >= next, "{seq} is lost and there: {line}");
            if seq > next {
                balance.missing.push(next..=seq - 1);
            }
            next = seq + 1;
            assert!(record.output.as_ref().is_none_or(|output| *output == sent.output), "{line}");
            if record.event == "loss" {
                next = last_of_loss(record) + 1;
                for (cause, count) in record.causes.iter().flatten() {
                    *balance.lost.entry(cause.clone()).or_default() += count;
                }
            } else if record.is_event() {
                balance.events += 1;
                match told.get(&seq) {
                    Some(original) => assert_eq!(line, original, "as it was told"),
                    // Standard output may have had less when both were cut off.
                    None => assert_eq!(ending, Ending::Killed, "told nowhere else: {line}"),
                }
            }
            assert_eq!(record.event == "start", seq == 1, "{line}");
        }
        if ending == Ending::Stopped {
            let (_, (_, last)) = lines.last_key_value().expect("records");
            balance.close(sent, last);
        }
        balance
    }

    /// The run's last record, and its figures of this output.
    fn close(&self, sent: &Sent, stop: &Record) {
        assert_eq!(stop.event, "stop", "{stop:?}");
        let last = line::parse(sent.lines.last().expect("lines"));
        assert_eq!(stop.seq, last.seq, "both outputs end with the same number");
        let figures = stop.outputs.iter().find(|figures| figures.output == sent.output);
        let figures = figures.expect("the output's figures");
        assert_eq!(figures.written, self.events as u64 + self.missing(), "written: {stop:?}");
        let events = self.lost.iter().filter(|(cause, _)| *cause != OWN_RECORD);
        assert_eq!(figures.lost, events.map(|(_, count)| count).sum::<u64>(), "lost: {stop:?}");
        assert_eq!(figures.in_flight, 0, "{stop:?}");
        assert!(self.doubles as u64 <= figures.resent, "{} doubles: {stop:?}", self.doubles);
        let known = figures.written + figures.lost + stop.filtered.expect("filtered");
        assert_eq!(stop.observed, Some(known), "{stop:?}");
    }

    /// How many numbers are missing.
    fn missing(&self) -> u64 {
        self.missing.iter().map(|numbers| numbers.end() + 1 - numbers.start()).sum()
    }

    /// Nothing is missing but what was declared lost.
    pub fn assert_whole(&self) {
        self.assert_missing_at_most(0);
    }

    /// So much is missing at most, and in one place.
    pub fn assert_missing_at_most(&self, most: u64) {
        assert!(self.missing.len() <= 1 && self.missing() <= most, "{self:?}");
    }

    /// What is declared lost was lost for this reason. What the kernel side could not tell, no output has.
    pub fn assert_lost_by(&self, reasons: &[&str]) {
        for cause in self.lost.keys().map(String::as_str) {
            assert!(BY_THE_KERNEL.contains(&cause) || reasons.contains(&cause), "{self:?}");
        }
    }

    /// Nothing is missing, and the output has lost nothing.
    pub fn assert_all_came(&self) {
        self.assert_whole();
        self.assert_lost_by(&[]);
    }
}

/// The lines of a run by their numbers, and how many came more than once.
fn once<'a>(run: &str, received: &'a [String]) -> (BTreeMap<u64, (&'a String, Record)>, usize) {
    let mut lines: BTreeMap<u64, (&String, Record)> = BTreeMap::new();
    let mut doubles = 0;
    for line in received {
        let record = line::parse(line);
        if record.run != run {
            continue;
        }
        if let Some((first, _)) = lines.get(&record.seq) {
            assert_eq!(first, &line, "the same number is the same line");
            doubles += 1;
        } else {
            lines.insert(record.seq, (line, record));
        }
    }
    (lines, doubles)
}

/// The last number that a loss covers.
fn last_of_loss(loss: &Record) -> u64 {
    assert_eq!(loss.first_seq, Some(loss.seq), "{loss:?}");
    let last = loss.last_seq.expect("last_seq");
    assert_eq!(loss.count, Some(last + 1 - loss.seq), "{loss:?}");
    let causes = loss.causes.as_ref().expect("causes");
    assert_eq!(loss.count, Some(causes.values().sum()), "{loss:?}");
    for fault in ["malformed", "unaccounted"] {
        assert!(!causes.contains_key(fault), "{loss:?}");
    }
    last
}

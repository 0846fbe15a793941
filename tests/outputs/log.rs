//! What an output got, held against the ledger's rules: alone, as its reader has nothing else.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// The kinds of events; every other record is the ledger's own.
const EVENTS: [&str; 7] = ["connect", "accept", "close", "open", "listen", "retransmit", "reset"];

/// The records of one run, in the order in which they came.
pub struct Log {
    /// The records.
    pub records: Vec<Value>,
}

impl Log {
    /// A file that one run wrote.
    pub fn read(path: &Path) -> Self {
        let mut runs = Self::runs(&fs::read(path).expect("a log"));
        assert_eq!(runs.len(), 1, "runs in {}", path.display());
        runs.remove(0)
    }

    /// Whole lines, by the runs that wrote them.
    pub fn runs(bytes: &[u8]) -> Vec<Self> {
        let mut runs: Vec<Self> = Vec::new();
        for record in records(bytes) {
            match runs.iter_mut().find(|log| *log.run() == record["run"]) {
                Some(log) => log.records.push(record),
                None => runs.push(Self { records: vec![record] }),
            }
        }
        runs
    }

    /// Which run it is.
    pub fn run(&self) -> &Value {
        &self.records[0]["run"]
    }

    /// Without what stands in it again, after a reader went away; sorted by number. Also how many those were.
    pub fn without_doubles(mut self) -> (Self, usize) {
        let mut seen = HashSet::new();
        let before = self.records.len();
        self.records.retain(|record| seen.insert(number(record, "seq")));
        self.records.sort_by_key(|record| number(record, "seq"));
        let doubles = before - self.records.len();
        (self, doubles)
    }

    /// Numbers and books: nothing is missing but what is declared, and the figures are those of this stream.
    pub fn check(&self, output: &str) {
        self.check_numbers();
        self.check_books(output);
    }

    /// Records are numbered from 1 without gaps; a loss stands for the numbers that it covers.
    pub fn check_numbers(&self) {
        let mut next = 1;
        for record in &self.records {
            assert_eq!(number(record, "seq"), next, "{record}");
            next += 1;
            if record["event"] == "loss" {
                assert_eq!(number(record, "first_seq"), next - 1, "{record}");
                let causes = record["causes"].as_object().expect("causes");
                let sum: u64 = causes.keys().map(|cause| number(&record["causes"], cause)).sum();
                assert_eq!(number(record, "count"), sum, "{record}");
                next = number(record, "first_seq") + sum;
                assert_eq!(number(record, "last_seq"), next - 1, "{record}");
            }
        }
    }

    /// The last record's figures for this output agree with what it got.
    pub fn check_books(&self, output: &str) {
        let stop = self.stop();
        assert_eq!(stop["output"], output, "{stop}");
        let own = self.figures(output);
        let filtered = number(stop, "filtered");
        assert_eq!(
            number(stop, "observed"),
            number(own, "written") + number(own, "lost") + filtered,
            "{stop}"
        );
        assert_eq!(number(own, "written"), self.events().count() as u64, "{stop}");
        assert_eq!(number(own, "lost"), self.lost(), "{stop}");
        assert!(own.get("in_flight").is_none(), "{stop}");
        for cause in ["unaccounted", "malformed"] {
            assert_eq!(self.lost_by(cause), 0, "{cause}");
        }
    }

    /// What the last record says of an output.
    pub fn figures(&self, output: &str) -> &Value {
        let outputs = self.stop()["outputs"].as_array().expect("outputs");
        outputs.iter().find(|figures| figures["output"] == output).expect(output)
    }

    /// The last record.
    pub fn stop(&self) -> &Value {
        let stop = self.records.last().expect("records");
        assert_eq!(stop["event"], "stop");
        stop
    }

    /// The events, without the ledger's own records.
    pub fn events(&self) -> impl Iterator<Item = &Value> {
        self.records
            .iter()
            .filter(|record| EVENTS.contains(&record["event"].as_str().expect("event")))
    }

    /// All events that are declared lost.
    pub fn lost(&self) -> u64 {
        let all: u64 = self.of_kind("loss").map(|loss| number(loss, "count")).sum();
        all - self.lost_by("own_record")
    }

    /// What is declared lost for a reason.
    pub fn lost_by(&self, cause: &str) -> u64 {
        let counts = self.of_kind("loss").filter_map(|loss| loss["causes"].get(cause));
        counts.map(|count| count.as_u64().expect("a count")).sum()
    }

    /// The records of a kind.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.records.iter().filter(move |record| record["event"] == kind)
    }
}

/// The records in a text of whole lines.
pub fn records(bytes: &[u8]) -> Vec<Value> {
    assert!(bytes.is_empty() || bytes.ends_with(b"\n"), "it ends in mid-line");
    let text = std::str::from_utf8(bytes).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// A number in a record.
pub fn number(record: &Value, key: &str) -> u64 {
    record[key].as_u64().unwrap_or_else(|| panic!("no number {key} in {record}"))
}

//! What a consumer has written so far.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::io::Seek as _;
use std::io::SeekFrom;
use std::path::PathBuf;

use crate::line;
use crate::place::Place;
use crate::shipper::Sent;
use crate::waiting::wait_for;

/// The lines of a consumer's files, as they came. Each byte is read once.
pub struct Received<'a> {
    place: &'a Place,
    read: HashMap<PathBuf, u64>,
    lines: Vec<String>,
    /// How many lines may be torn, and are left out.
    torn: usize,
}

impl<'a> Received<'a> {
    /// Nothing yet.
    pub fn at(place: &'a Place) -> Self {
        Self { place, read: HashMap::new(), lines: Vec::new(), torn: 0 }
    }

    /// The consumer is killed while it writes: the kernel may then end a write between two pages. The half line is left
    /// out of the line that comes behind it.
    pub fn expect_torn(&mut self) {
        self.torn += 1;
    }

    /// The lines that there are.
    pub fn lines(&mut self) -> &[String] {
        for path in self.place.logs() {
            let read = self.read.entry(path.clone()).or_default();
            let mut file = File::open(path).expect("a log");
            file.seek(SeekFrom::Start(*read)).expect("seek");
            let mut text = Vec::new();
            file.read_to_end(&mut text).expect("read");
            // The line that is being written is read when it is whole.
            let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
            *read += whole as u64;
            let text = str::from_utf8(&text[..whole]).expect("UTF-8");
            for line in text.lines() {
                let begin = line.rfind(line::ANY_HEAD).unwrap_or(0);
                let whole = if begin > 0 && self.torn > 0 {
                    self.torn -= 1;
                    &line[begin..]
                } else {
                    line
                };
                self.lines.push(whole.to_owned());
            }
        }
        &self.lines
    }

    /// Waits until it has written the line of this number.
    pub fn wait_for(&mut self, run: &str, seq: u64) {
        let beginning = line::beginning(run, seq);
        let what = format!("number {seq} of run {run}");
        self.wait_for_line(&what, |line| line.starts_with(&beginning));
    }

    /// Waits until it has been told of a loss.
    pub fn wait_for_loss(&mut self) {
        self.wait_for_line("a loss", |line| line.contains(r#""event":"loss""#));
    }

    /// Waits until it has written all that came of a run that was stopped: the last record is the last to come.
    pub fn wait_for_all(&mut self, sent: &Sent) {
        let last = line::parse(sent.lines.last().expect("lines"));
        self.wait_for(&last.run, last.seq);
    }

    fn wait_for_line(&mut self, what: &str, wanted: impl Fn(&str) -> bool) {
        let mut seen = 0;
        wait_for(
            self,
            |received| {
                let new = &received.lines()[seen..];
                let found = new.iter().any(|line| wanted(line)).then_some(());
                seen += new.len();
                found
            },
            |received| format!("{what} did not come: {}", received.place.messages()),
        );
    }

    /// Waits until there are so many lines.
    pub fn wait_for_lines(&mut self, count: usize) {
        wait_for(
            self,
            |received| (received.lines().len() >= count).then_some(()),
            |received| format!("{count} lines did not come: {}", received.place.messages()),
        );
    }
}

//! What was sent, and is sent again if the reader hangs up.

use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use crate::outlet::Frames;
use crate::outlet::Subject;

/// Time for a reader to do something with what it has read. What was read longer ago is not sent again.
const DIGESTION: Duration = Duration::from_secs(1);

/// Whole lines, in the order in which they were sent, that the reader may not have done with.
#[derive(Debug, Default)]
pub struct Window {
    /// Those before `begin` are gone.
    bytes: Vec<u8>,
    begin: usize,
    lines: VecDeque<Line>,
    /// Bytes that can be on their way at the same time.
    most: usize,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    length: usize,
    subject: Option<Subject>,
    /// The last time; `None` for what takes the place of another one.
    sent: Option<Instant>,
    /// How often the reader has hung up at it.
    hang_ups: u32,
}

impl Window {
    /// So many bytes can be on their way at the same time.
    pub fn set_most(&mut self, most: usize) {
        self.most = most;
    }

    /// How many lines.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// These were sent, or begun.
    pub fn push(&mut self, lines: Frames<'_>, now: Instant) {
        if self.begin > self.most {
            self.bytes.drain(..self.begin);
            self.begin = 0;
        }
        self.bytes.extend_from_slice(lines.bytes());
        for (line, subject) in lines.iter().zip(lines.subjects()) {
            self.lines.push_back(Line {
                length: line.len(),
                subject: *subject,
                sent: Some(now),
                hang_ups: 0,
            });
        }
        while self.front_ends_before(self.most) {
            self.pop();
        }
    }

    /// At most so many bytes are not read. Forgets what the reader has done with.
    pub fn settle(&mut self, unread: usize, now: Instant) {
        let old = |line: &Line| line.sent.is_some_and(|sent| now - sent >= DIGESTION);
        while self.front_ends_before(unread) && self.lines.front().is_some_and(old) {
            self.pop();
        }
    }

    /// Whether the first line lies wholly before so many bytes.
    fn front_ends_before(&self, last: usize) -> bool {
        let kept = self.bytes.len() - self.begin;
        self.lines.front().is_some_and(|line| kept - line.length >= last)
    }

    /// Forgets the first line.
    pub fn pop(&mut self) {
        if let Some(line) = self.lines.pop_front() {
            self.begin += line.length;
        }
    }

    /// Everything from the `first` line on.
    pub fn bytes_from(&self, first: usize) -> &[u8] {
        let gone: usize = self.lines.iter().take(first).map(|line| line.length).sum();
        &self.bytes[self.begin + gone..]
    }

    /// A line, with its newline.
    pub fn line(&self, line: usize) -> &[u8] {
        let length = self.lines.get(line).map_or(0, |line| line.length);
        &self.bytes_from(line)[..length]
    }

    /// A line goes out again. True if it was out before.
    pub fn send_again(&mut self, line: usize, now: Instant) -> bool {
        self.lines.get_mut(line).is_some_and(|line| line.sent.replace(now).is_some())
    }

    /// The reader has hung up at the first line. Returns how often by now.
    pub fn count_hang_up(&mut self) -> u32 {
        self.lines.front_mut().map_or(0, |line| {
            line.hang_ups += 1;
            line.hang_ups
        })
    }

    /// What the first line is of.
    pub fn subject(&self) -> Option<Subject> {
        self.lines.front().and_then(|line| line.subject)
    }

    /// These take the place of the first line.
    pub fn replace_front(&mut self, by: Frames<'_>) {
        let old = self.lines.pop_front().map_or(0, |line| line.length);
        self.bytes.splice(self.begin..self.begin + old, by.bytes().iter().copied());
        for line in by.iter().collect::<Vec<_>>().into_iter().rev() {
            let length = line.len();
            self.lines.push_front(Line { length, subject: None, sent: None, hang_ups: 0 });
        }
    }
}

//! Encoded entries, as a sink gets them.

use std::ops::Range;

use crate::ledger::Body;
use crate::ledger::Entry;

/// Which record a frame is of, for a sink that may have to give it up after others were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its number.
    pub seq: u64,
    /// Whether it is an event; or else a record of the ledger's own.
    pub is_event: bool,
}

impl Subject {
    /// `None` for a loss: it has no number of its own, and stands for others.
    #[must_use]
    pub fn of(entry: &Entry) -> Option<Self> {
        let is_event = match entry.body {
            Body::Loss(_) => return None,
            Body::Event(_) => true,
            Body::Start(_) | Body::Ready | Body::Heartbeat(_) | Body::Stop(_) => false,
        };
        Some(Self { seq: entry.seq, is_event })
    }
}

/// Encoded entries, one after the other: of each what must be written wholly or not at all, a line or a datagram.
#[derive(Clone, Copy, Debug)]
pub struct Frames<'a> {
    bytes: &'a [u8],
    /// Where each ends, counted from the same place as `start`.
    ends: &'a [usize],
    subjects: &'a [Option<Subject>],
    start: usize,
}

impl<'a> Frames<'a> {
    /// All of them, as they are written one after the other.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// One after the other; none is empty.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let Self { bytes, ends, start, .. } = *self;
        let mut from = 0;
        ends.iter().map(move |end| {
            let to = end - start;
            &bytes[std::mem::replace(&mut from, to)..to]
        })
    }

    /// Which record each is of.
    #[must_use]
    pub fn subjects(&self) -> &'a [Option<Subject>] {
        self.subjects
    }

    /// Where the first `count` of them end, bytes.
    #[must_use]
    pub fn end_of(&self, count: usize) -> usize {
        if count == 0 { 0 } else { self.ends[count - 1] - self.start }
    }

    /// These of them.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        let (from, to) = (self.end_of(range.start), self.end_of(range.end));
        Self {
            bytes: &self.bytes[from..to],
            ends: &self.ends[range.clone()],
            subjects: &self.subjects[range],
            start: self.start + from,
        }
    }

    /// Those from the `first` on.
    #[must_use]
    pub fn from(&self, first: usize) -> Self {
        self.slice(first..self.len())
    }

    /// How many of them, from the first on, are at most `limit` bytes together; at least one.
    #[must_use]
    pub fn that_fit(&self, limit: usize) -> usize {
        self.ends.partition_point(|end| end - self.start <= limit).max(1).min(self.len())
    }
}

/// Where the outlet encodes its batch: one buffer for all of it.
#[derive(Debug, Default)]
pub struct FrameBuffer {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// Which entry each frame is of; `None` for what is of none, as a table's head.
    entries: Vec<Option<usize>>,
    subjects: Vec<Option<Subject>>,
}

impl FrameBuffer {
    /// A buffer for so many frames and bytes, before it must grow.
    #[must_use]
    pub fn with_capacity(frames: usize, bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            ends: Vec::with_capacity(frames),
            entries: Vec::with_capacity(frames),
            subjects: Vec::with_capacity(frames),
        }
    }

    /// Appends what `encode` writes as one frame, of this entry, which has this index. Nothing makes no frame.
    pub fn push(&mut self, entry: Option<(usize, &Entry)>, encode: impl FnOnce(&mut Vec<u8>)) {
        let before = self.bytes.len();
        encode(&mut self.bytes);
        if self.bytes.len() != before {
            self.ends.push(self.bytes.len());
            self.entries.push(entry.map(|(index, _)| index));
            self.subjects.push(entry.and_then(|(_, entry)| Subject::of(entry)));
        }
    }

    /// All frames.
    #[must_use]
    pub fn frames(&self) -> Frames<'_> {
        Frames { bytes: &self.bytes, ends: &self.ends, subjects: &self.subjects, start: 0 }
    }

    /// The entry that a frame is of.
    #[must_use]
    pub fn entry_of(&self, frame: usize) -> Option<usize> {
        self.entries.get(frame).copied().flatten()
    }

    /// Empties it.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.entries.clear();
        self.subjects.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(lines: &[&str]) -> FrameBuffer {
        let mut buffer = FrameBuffer::default();
        for (i, line) in lines.iter().enumerate() {
            let entry = Entry { seq: 100 + i as u64, time_unix_ns: 0, body: Body::Ready };
            buffer.push(Some((i, &entry)), |out| out.extend_from_slice(line.as_bytes()));
        }
        buffer
    }

    #[test]
    fn frames_and_parts_of_them() {
        let buffer = buffer(&["a\n", "", "bb\n", "ccc\n"]);
        let frames = buffer.frames();
        assert_eq!(frames.len(), 3, "an empty one is none");
        assert_eq!(frames.iter().collect::<Vec<_>>(), [b"a\n".as_slice(), b"bb\n", b"ccc\n"]);
        assert_eq!(buffer.entry_of(1), Some(2));
        let rest = frames.from(1);
        assert_eq!(rest.bytes(), b"bb\nccc\n");
        assert_eq!(rest.iter().collect::<Vec<_>>(), [b"bb\n".as_slice(), b"ccc\n"]);
        assert_eq!(rest.slice(1..2).bytes(), b"ccc\n");
        let last = Subject { seq: 103, is_event: false };
        assert_eq!(rest.slice(1..2).subjects(), [Some(last)]);
        assert_eq!(rest.from(1).slice(0..1).iter().collect::<Vec<_>>(), [b"ccc\n"]);
        assert!(frames.from(3).is_empty());
        assert_eq!(frames.from(3).bytes(), b"");
    }

    #[test]
    fn as_many_as_fit() {
        let buffer = buffer(&["a\n", "bb\n", "ccc\n"]);
        let frames = buffer.frames();
        for (limit, fit) in [(0, 1), (1, 1), (4, 1), (5, 2), (8, 2), (9, 3), (100, 3)] {
            assert_eq!(frames.that_fit(limit), fit, "{limit} bytes");
        }
        assert_eq!(frames.from(1).that_fit(6), 1);
        assert_eq!(frames.from(1).that_fit(7), 2);
        assert_eq!(frames.from(3).that_fit(7), 0, "of none");
    }
}

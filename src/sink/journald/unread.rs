//! The datagrams that were sent last: those that journald may not have read.

use std::collections::VecDeque;

/// A bounded queue of datagrams, with a place in it for when they are sent again.
#[derive(Debug)]
pub struct Unread {
    datagrams: VecDeque<Vec<u8>>,
    /// Of all of them together.
    bytes: usize,
    /// As many bytes are kept at least, once there were so many.
    enough: usize,
    /// Those before this one are sent.
    sent: usize,
}

impl Unread {
    /// Keeps so many bytes, and what is left of the oldest datagram among them.
    pub fn new(enough: usize) -> Self {
        Self { datagrams: VecDeque::new(), bytes: 0, enough, sent: 0 }
    }

    /// Adds a datagram that was sent, and forgets old ones.
    pub fn push(&mut self, datagram: &[u8]) {
        self.bytes += datagram.len();
        // The memory of the last one forgotten is used again.
        let mut kept = Vec::new();
        while let Some(oldest) = self.datagrams.front()
            && self.bytes - oldest.len() >= self.enough
        {
            self.bytes -= oldest.len();
            kept = self.datagrams.pop_front().unwrap_or_default();
        }
        kept.clear();
        kept.extend_from_slice(datagram);
        self.datagrams.push_back(kept);
        self.sent = self.datagrams.len();
    }

    /// From now on all of them are to be sent again.
    pub fn rewind(&mut self) {
        self.sent = 0;
    }

    /// The next one to be sent again.
    pub fn next(&self) -> Option<&[u8]> {
        self.datagrams.get(self.sent).map(Vec::as_slice)
    }

    /// That one is sent.
    pub fn advance(&mut self) {
        self.sent += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(unread: &mut Unread) -> Vec<Vec<u8>> {
        let mut rest = Vec::new();
        while let Some(datagram) = unread.next() {
            rest.push(datagram.to_vec());
            unread.advance();
        }
        rest
    }

    #[test]
    fn the_last_ones_are_sent_again() {
        let mut unread = Unread::new(5);
        assert!(rest(&mut unread).is_empty());
        for datagram in [b"aa", b"bb", b"cc", b"dd"] {
            unread.push(datagram);
            assert!(rest(&mut unread).is_empty(), "it was sent");
        }
        unread.rewind();
        assert_eq!(rest(&mut unread), [b"bb", b"cc", b"dd"], "at least five bytes");
        unread.rewind();
        unread.advance();
        assert_eq!(rest(&mut unread), [b"cc", b"dd"]);
        unread.push(b"a long one");
        unread.rewind();
        assert_eq!(rest(&mut unread), [b"a long one"]);
    }
}

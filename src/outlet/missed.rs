//! What an output goes without: a range of numbers, told as one `loss` in its own stream.

use super::frames::Subject;
use crate::ledger::Body;
use crate::ledger::Cause;
use crate::ledger::Entry;
use crate::ledger::Loss;
use crate::ledger::Losses;

/// Entries that follow each other and are not written to one output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    first_seq: u64,
    last_seq: u64,
    causes: Losses,
    /// Those that the output lost: without what the ledger had lost before.
    own: Losses,
}

impl Missed {
    /// One entry, for this reason.
    #[must_use]
    pub fn new(entry: &Entry, cause: Cause) -> Self {
        if let Body::Loss(Loss { first_seq, last_seq, causes, .. }) = entry.body {
            // Its numbers and causes stand in this one.
            return Self { first_seq, last_seq, causes, own: Losses::default() };
        }
        let is_event = matches!(entry.body, Body::Event(_));
        Self::of(Subject { seq: entry.seq, is_event }, cause)
    }

    /// What a frame was of.
    #[must_use]
    pub fn of(subject: Subject, cause: Cause) -> Self {
        let Subject { seq, is_event } = subject;
        let mut own = Losses::default();
        own.add(if is_event { cause } else { Cause::OwnRecord }, 1);
        Self { first_seq: seq, last_seq: seq, causes: own, own }
    }

    /// Those that follow as well.
    pub fn append(&mut self, next: &Self) {
        self.last_seq = next.last_seq;
        self.causes.merge(&next.causes);
        self.own.merge(&next.own);
    }

    /// What the output itself has lost.
    #[must_use]
    pub fn own(&self) -> &Losses {
        &self.own
    }

    /// What stands in the stream in their place.
    #[must_use]
    pub fn entry(&self, time_unix_ns: u64) -> Entry {
        let Self { first_seq, last_seq, causes, .. } = *self;
        let count = last_seq - first_seq + 1;
        Entry {
            seq: first_seq,
            time_unix_ns,
            body: Body::Loss(Loss { first_seq, last_seq, count, causes }),
        }
    }
}

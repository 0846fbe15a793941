//! What an output goes without: a range of numbers, told as one `loss` in its own stream.

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
        let Entry { seq, ref body, .. } = *entry;
        let mut own = Losses::default();
        match body {
            // Its numbers and causes stand in this one.
            Body::Loss(Loss { first_seq, last_seq, causes, .. }) => {
                return Self { first_seq: *first_seq, last_seq: *last_seq, causes: *causes, own };
            }
            Body::Event(_) => own.add(cause, 1),
            Body::Start(_) | Body::Ready | Body::Heartbeat(_) | Body::Stop(_) => {
                own.add(Cause::OwnRecord, 1);
            }
        }
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

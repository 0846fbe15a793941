//! What was lost, and why.

use serde::Serialize;
use serde::Serializer;
use serde::ser::SerializeMap as _;

/// Why a record is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The ring buffer had no room: user space was too slow, or its outputs were.
    RingFull,
    /// The kernel skipped a hook because a BPF program was already running on the CPU.
    Nested,
    /// An accept's descriptor was closed by another thread before it could be followed.
    DescriptorGone,
    /// A record was not as it should be.
    Malformed,
    /// Counted, and never heard of again: a fault of connledger, told rather than hidden.
    Unaccounted,
    /// An output's queue was full: its reader was too slow, or gone.
    OutputFull,
    /// A datagram was larger than the socket takes.
    TooLarge,
    /// The reader hung up at it, twice.
    Refused,
    /// A record of the ledger's own, and no event, was among those that an output lost.
    OwnRecord,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 9] = [
        Self::RingFull,
        Self::Nested,
        Self::DescriptorGone,
        Self::Malformed,
        Self::Unaccounted,
        Self::OutputFull,
        Self::TooLarge,
        Self::Refused,
        Self::OwnRecord,
    ];

    /// As it stands in a record's `causes`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RingFull => "ring_full",
            Self::Nested => "nested",
            Self::DescriptorGone => "descriptor_gone",
            Self::Malformed => "malformed",
            Self::Unaccounted => "unaccounted",
            Self::OutputFull => "output_full",
            Self::TooLarge => "too_large",
            Self::Refused => "refused",
            Self::OwnRecord => "own_record",
        }
    }

    /// What the operator can do about it.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::RingFull => {
                "the ring was full: raise --ring-size, or give the output a faster reader"
            }
            Self::Nested => "programs were skipped on a busy CPU: this cannot be tuned",
            Self::DescriptorGone => "descriptors were closed while accept returned",
            Self::Malformed => "records were malformed: please report this",
            Self::Unaccounted => "records are unaccounted for: please report this",
            Self::OutputFull => {
                "the output's queue was full: raise queue=, give it a faster reader, or use on-full=block"
            }
            Self::TooLarge => "the socket takes no datagrams that large: raise send-buffer=",
            Self::Refused => "the reader hung up at them twice: its own log may say why",
            Self::OwnRecord => "records of the ledger's own were among them",
        }
    }
}

/// Records lost, by cause. In JSON an object of the causes that occurred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses([u64; Cause::ALL.len()]);

impl Losses {
    /// Adds `count` records lost by `cause`.
    pub fn add(&mut self, cause: Cause, count: u64) {
        self.0[cause as usize] += count;
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Those that were events.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.total() - self.0[Cause::OwnRecord as usize]
    }

    /// Those by all other causes.
    #[must_use]
    pub fn without(mut self, cause: Cause) -> Self {
        self.0[cause as usize] = 0;
        self
    }

    /// The causes that occurred, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (Cause, u64)> {
        Cause::ALL.into_iter().zip(self.0).filter(|&(_, count)| count != 0)
    }

    /// Those by causes of which nothing was `told` yet; now it is.
    pub fn not_in(&self, told: &mut Self) -> impl Iterator<Item = (Cause, u64)> + use<> {
        let mut news = *self;
        for (new, told) in news.0.iter_mut().zip(&mut told.0) {
            if *told != 0 {
                *new = 0;
            }
            *told |= *new;
        }
        news.iter().collect::<Vec<_>>().into_iter()
    }

    /// Adds the losses of another account.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    pub(super) fn since(&self, earlier: &Self) -> Self {
        let mut losses = Self::default();
        for (i, loss) in losses.0.iter_mut().enumerate() {
            *loss = self.0[i].saturating_sub(earlier.0[i]);
        }
        losses
    }
}

impl Serialize for Losses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (cause, count) in self.iter() {
            map.serialize_entry(cause.name(), &count)?;
        }
        map.end()
    }
}

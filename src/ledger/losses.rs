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
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 5] =
        [Self::RingFull, Self::Nested, Self::DescriptorGone, Self::Malformed, Self::Unaccounted];

    /// As it stands in a record's `causes`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RingFull => "ring_full",
            Self::Nested => "nested",
            Self::DescriptorGone => "descriptor_gone",
            Self::Malformed => "malformed",
            Self::Unaccounted => "unaccounted",
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

    /// The causes that occurred, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (Cause, u64)> {
        Cause::ALL.into_iter().zip(self.0).filter(|&(_, count)| count != 0)
    }

    pub(super) fn merge(&mut self, other: &Self) {
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

//! Records lost, by cause.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error;
use serde::de::MapAccess;
use serde::de::Visitor;

use super::Verdict;
use super::number::Number;
use super::number::Some0;
use crate::ledger::Cause;

/// Records lost, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Causes {
    known: [u64; Cause::ALL.len()],
    /// By causes that only a newer minor knows.
    other: u64,
}

impl Causes {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.known.iter().fold(self.other, |sum, count| sum.saturating_add(*count))
    }

    /// Adds others.
    pub fn add(&mut self, causes: &Self) {
        for (mine, theirs) in self.known.iter_mut().zip(causes.known) {
            *mine = mine.saturating_add(theirs);
        }
        self.other = self.other.saturating_add(causes.other);
    }

    /// Those that occurred: names and counts.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let known = Cause::ALL.iter().zip(self.known).map(|(cause, count)| (cause.name(), count));
        known.chain([("other", self.other)]).filter(|&(_, count)| count != 0)
    }

    /// How many by one of them.
    #[must_use]
    pub fn by(&self, cause: Cause) -> u64 {
        self.known[cause as usize]
    }

    /// Those that were events.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.total().saturating_sub(self.by(Cause::OwnRecord))
    }

    pub(super) fn check(&self, place: Place, strict: bool) -> Verdict {
        let misplaced = |cause: &Cause| self.by(*cause) != 0 && !place.may_have(*cause);
        if strict && (self.other != 0 || Cause::ALL.iter().any(misplaced)) {
            return Err("causes has a cause that there is not");
        }
        if self.total() == 0 { Err("causes is empty") } else { Ok(()) }
    }
}

impl<'de> Deserialize<'de> for Causes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counts;
        impl<'de> Visitor<'de> for Counts {
            type Value = Causes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("counts by cause")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Causes, A::Error> {
                let mut causes = Causes::default();
                while let Some((name, Number(count))) = map.next_entry::<Cow<'_, str>, Some0>()? {
                    match Cause::ALL.iter().position(|cause| cause.name() == name) {
                        Some(i) if causes.known[i] == 0 => causes.known[i] = count,
                        Some(i) => return Err(Error::duplicate_field(Cause::ALL[i].name())),
                        None => causes.other = causes.other.saturating_add(count),
                    }
                }
                Ok(causes)
            }
        }
        deserializer.deserialize_map(Counts)
    }
}

/// Where causes stand.
#[derive(Clone, Copy)]
pub enum Place {
    /// In the ledger's figures.
    Ledger,
    /// In the figures of an output.
    Output,
    /// In a loss.
    Loss,
}

impl Place {
    fn may_have(self, cause: Cause) -> bool {
        match cause {
            Cause::RingFull
            | Cause::Nested
            | Cause::DescriptorGone
            | Cause::Malformed
            | Cause::Unaccounted => true,
            Cause::OutputFull | Cause::TooLarge | Cause::Refused => !matches!(self, Self::Ledger),
            Cause::OwnRecord => matches!(self, Self::Loss),
        }
    }
}

//! The ledger's own records.

use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error;
use serde::de::MapAccess;
use serde::de::Visitor;

use super::Fields;
use super::Verdict;
use super::connection::words;
use super::header::Header;
use super::number::Count;
use super::number::MAX;
use super::number::Number;
use super::number::Seq;
use super::number::Some0;
use super::number::Step;
use super::number::True;
use super::object::Object;
use super::text::CgroupList;
use super::text::Given;
use super::text::Hook;
use super::text::Id;
use super::text::NetList;
use super::text::NumberList;
use super::text::PortList;
use super::text::Text;
use super::text::TextList;
use super::text::Version;
use crate::ledger::Cause;

words! {
    Kind { Connect, Accept, Close, Open, Listen, Retransmit, Reset }
    Family { Ipv4, Ipv6 }
    Reason { Interrupted, Terminated, Duration, MaxEvents, OutputsClosed }
}

impl Reason {
    /// As it stands in a record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Interrupted => "interrupted",
            Self::Terminated => "terminated",
            Self::Duration => "duration",
            Self::MaxEvents => "max_events",
            Self::OutputsClosed => "outputs_closed",
            Self::Unknown => "unknown",
        }
    }
}

/// Where in the kernel connledger listens.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "checked, and not needed further")]
struct Hooks {
    state: Text<Hook>,
    connect: Option<Text<Hook>>,
    accept: Option<Text<Hook>>,
    io: Option<Text<Hook>>,
    retransmit: Option<Text<Hook>>,
    reset: Option<Text<Hook>>,
    seed: Text<Hook>,
}

/// The filters as they were given.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filters {
    pid: Option<Text<NumberList>>,
    uid: Option<Text<NumberList>>,
    comm: Option<Text<TextList>>,
    cgroup: Option<Text<CgroupList>>,
    netns: Option<Text<NumberList>>,
    family: Option<Family>,
    local_port: Option<Text<PortList>>,
    remote_port: Option<Text<PortList>>,
    local_net: Option<Text<NetList>>,
    remote_net: Option<Text<NetList>>,
    exclude_self: Option<True>,
    cut: Option<True>,
}

impl Filters {
    fn is_empty(&self) -> bool {
        let lists = [self.pid.is_none(), self.uid.is_none(), self.netns.is_none()];
        let texts = [self.comm.is_none(), self.cgroup.is_none()];
        let ports = [self.local_port.is_none(), self.remote_port.is_none()];
        let nets = [self.local_net.is_none(), self.remote_net.is_none()];
        let rest = [self.family.is_none(), self.exclude_self.is_none(), self.cut.is_none()];
        [&lists[..], &texts, &ports, &nets, &rest].concat().iter().all(|&none| none)
    }
}

/// The beginning of a run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "checked, and not needed further")]
pub struct Start {
    version: Text<Version>,
    commit: Text<Given>,
    host_id: Option<Text<Id>>,
    /// Of this boot.
    boot_id: Text<Id>,
    kernel: Text<Given>,
    pid: u32,
    events: Vec<Kind>,
    hooks: Object<Hooks>,
    filters: Option<Object<Filters>>,
    ring_size: Number<4096, { 1 << 30 }>,
}

impl Fields<'_> for Box<Start> {
    fn check(&self, _: &Header<'_>, strict: bool) -> Verdict {
        for (i, kind) in self.events.iter().enumerate() {
            kind.known(strict, "events has a kind that there is not")?;
            if *kind != Kind::Unknown && self.events[..i].contains(kind) {
                return Err("events names a kind twice");
            }
        }
        if self.events.is_empty() {
            return Err("events is empty");
        }
        if let Some(Object(filters)) = &self.filters {
            if let Some(family) = filters.family {
                family.known(strict, "the filter's family is neither ipv4 nor ipv6")?;
            }
            // A newer minor may have another filter, which is passed over.
            if strict && filters.is_empty() {
                return Err("filters is empty");
            }
        }
        Ok(())
    }
}

/// What was open before is known.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ready {}

impl Fields<'_> for Ready {
    fn check(&self, _: &Header<'_>, _: bool) -> Verdict {
        Ok(())
    }
}

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

    fn check(&self, strict: bool) -> Verdict {
        if strict && self.other != 0 {
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
                while let Some((name, Number(count))) =
                    map.next_entry::<std::borrow::Cow<'_, str>, Some0>()?
                {
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

/// Records that are missing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    first_seq: Seq,
    last_seq: Seq,
    count: Some0,
    /// How many by each cause.
    pub causes: Causes,
}

impl Loss {
    /// The first and the last number that are missing.
    #[must_use]
    pub fn range(&self) -> (u64, u64) {
        (self.first_seq.0, self.last_seq.0)
    }
}

impl Fields<'_> for Loss {
    fn check(&self, header: &Header<'_>, strict: bool) -> Verdict {
        self.causes.check(strict)?;
        if self.first_seq.0 != header.seq {
            return Err("first_seq is not seq");
        }
        if self.last_seq.0 < self.first_seq.0 {
            return Err("last_seq is before first_seq");
        }
        if self.count.0 != self.last_seq.0 - self.first_seq.0 + 1 {
            return Err("count is not last_seq - first_seq + 1");
        }
        if self.count.0 != self.causes.total() {
            return Err("count is not the sum of causes");
        }
        Ok(())
    }
}

/// What is missing inside of events that were told.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Incomplete {
    storage_failed: Option<Some0>,
    accept_queue_full: Option<Some0>,
    acceptors_full: Option<Some0>,
    process_ring_full: Option<Some0>,
    told_full: Option<Some0>,
    process_unknown: Option<Some0>,
}

impl Incomplete {
    fn is_empty(&self) -> bool {
        [
            &self.storage_failed,
            &self.accept_queue_full,
            &self.acceptors_full,
            &self.process_ring_full,
            &self.told_full,
            &self.process_unknown,
        ]
        .iter()
        .all(|count| count.is_none())
    }
}

/// The books of a run at one moment.
#[derive(Debug)]
pub struct Figures {
    /// Events that were asked for and happened.
    pub observed: u64,
    /// Events handed to the outputs.
    pub written: u64,
    /// Events lost.
    pub lost: u64,
    /// Events that a filter refused.
    pub filtered: u64,
    /// Events on their way; none at the end.
    pub in_flight: u64,
    /// `lost` by cause.
    pub causes: Causes,
}

/// Records that carry figures: what each has besides.
macro_rules! with_figures {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty,)* } in_flight: $in_flight:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code, reason = "checked, and not needed further")]
        pub struct $name {
            $($field: $type,)*
            observed: Count,
            written: Count,
            lost: Count,
            filtered: Count,
            causes: Option<Causes>,
            incomplete: Option<Object<Incomplete>>,
            recovered: Option<Some0>,
            clock_step_us: Option<Step>,
        }

        impl $name {
            /// The books.
            #[must_use]
            pub fn figures(&self) -> Figures {
                let in_flight: fn(&Self) -> u64 = $in_flight;
                Figures {
                    observed: self.observed.0,
                    written: self.written.0,
                    lost: self.lost.0,
                    filtered: self.filtered.0,
                    in_flight: in_flight(self),
                    causes: self.causes.unwrap_or_default(),
                }
            }

            fn check_figures(&self, strict: bool) -> Verdict {
                if let Some(causes) = &self.causes {
                    causes.check(strict)?;
                }
                match &self.incomplete {
                    // A newer minor may know of other things that are missing.
                    Some(Object(incomplete)) if strict && incomplete.is_empty() => Err("incomplete is empty"),
                    _ => Ok(()),
                }
            }
        }
    )*};
}

with_figures! {
    /// The figures so far.
    Heartbeat { in_flight: Count, } in_flight: |heartbeat| heartbeat.in_flight.0;
    /// The end of a run.
    Stop { reason: Reason, } in_flight: |_| 0;
}

impl Fields<'_> for Heartbeat {
    fn check(&self, _: &Header<'_>, strict: bool) -> Verdict {
        self.check_figures(strict)
    }
}

impl Stop {
    /// Why it ended.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.reason.name()
    }
}

impl Fields<'_> for Box<Stop> {
    fn check(&self, _: &Header<'_>, strict: bool) -> Verdict {
        self.reason.known(strict, "reason is none of those that there are")?;
        self.check_figures(strict)
    }
}

impl Figures {
    /// Whether the books balance. A number at the cap of what JSON has exactly says nothing.
    #[must_use]
    pub fn balance(&self) -> bool {
        let told = [self.written, self.lost, self.filtered, self.in_flight];
        let sum = told.iter().fold(0_u64, |sum, count| sum.saturating_add(*count));
        self.observed >= MAX || told.iter().any(|&count| count >= MAX) || self.observed == sum
    }

    /// Whether the causes add up to what was lost.
    #[must_use]
    pub fn causes_add_up(&self) -> bool {
        self.lost >= MAX || self.causes.total() >= MAX || self.causes.total() == self.lost
    }
}

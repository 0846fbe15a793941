//! The ledger's own records.

use serde::Deserialize;

use super::Fields;
use super::Verdict;
use super::causes::Causes;
use super::causes::Place;
use super::connection::words;
use super::figures::Reason;
use super::header::Header;
use super::number::Count;
use super::number::Number;
use super::number::Seq;
use super::number::Some0;
use super::number::True;
use super::object::Object;
use super::text::CgroupList;
use super::text::Given;
use super::text::Hook;
use super::text::Id;
use super::text::NetList;
use super::text::NumberList;
use super::text::OutputName;
use super::text::PortList;
use super::text::RunId;
use super::text::Text;
use super::text::TextList;
use super::text::Version;
use super::time::Time;

words! {
    Kind { Connect, Accept, Close, Open, Listen, Retransmit, Reset }
    Family { Ipv4, Ipv6 }
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

/// The run before, as it was remembered.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "checked, and not needed further")]
pub struct Previous {
    /// Its id.
    pub run: RunId,
    /// The last number that it gave.
    pub seq: Seq,
    until: Time,
    stopped: Option<Reason>,
    boot_id: Option<Text<Id>>,
    gap_us: Option<Count>,
    unwritten: Option<Some0>,
}

impl Previous {
    /// Whether it came to its end.
    #[must_use]
    pub fn has_stopped(&self) -> bool {
        self.stopped.is_some()
    }

    /// For how long nobody watched, microseconds.
    #[must_use]
    pub fn gap_us(&self) -> Option<u64> {
        self.gap_us.map(|gap| gap.0)
    }

    /// Runs between that left no line.
    #[must_use]
    pub fn unwritten(&self) -> u64 {
        self.unwritten.as_ref().map_or(0, |count| count.0)
    }
}

/// The beginning of a run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "checked, and not needed further")]
pub struct Start {
    /// Through which this line went.
    pub output: OutputName,
    version: Text<Version>,
    commit: Text<Given>,
    host_id: Option<Text<Id>>,
    /// Of this boot.
    boot_id: Text<Id>,
    kernel: Text<Given>,
    pid: u32,
    since: Time,
    /// The run before.
    pub previous: Option<Object<Previous>>,
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
        if let Some(Object(Previous { stopped: Some(reason), .. })) = &self.previous {
            reason.known(strict, "previous.stopped is no reason that there is")?;
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
        self.causes.check(Place::Loss, strict)?;
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

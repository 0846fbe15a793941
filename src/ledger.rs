//! The ledger: numbers what is told, states what is missing, and can be checked from the log alone.
//!
//! The rules:
//! 1. Records are numbered from 1 in each run, without gaps. A `loss` takes no number of its own: it
//!    stands in the place of what is missing, covers `first_seq..=last_seq`, and the next record has
//!    `last_seq + 1`.
//! 2. What the kernel side lost gets its numbers when the counters are read, at each drain.
//! 3. `observed` counts the events that were asked for and happened, as the kernel side counted them, not
//!    as they arrived. At the end `observed = written + lost + filtered`; what is missing even then is
//!    declared lost as `unaccounted`.
//! 4. With a limit, what comes after the last event that is wanted is `filtered`.

use serde::Serialize;
use serde::Serializer;
use serde::ser::SerializeMap as _;

use crate::clock::WallClock;
use crate::clock::boottime_ns;
use crate::event::Event;
use crate::event::Image;
use crate::event::Kind;
use crate::event::Record;
use crate::probe::Hooks;
use crate::process::ProcessTable;
use crate::wire;
use crate::wire::WireError;
use crate::wire::shared::Counters;

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

    fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    fn since(&self, earlier: &Self) -> Self {
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

/// What stands at one place of the log.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its number; of a loss the first one that it covers.
    pub seq: u64,
    /// Nanoseconds since 1970.
    pub time_unix_ns: u64,
    /// What it says.
    pub body: Body,
}

/// What an entry says.
#[derive(Clone, Debug)]
pub enum Body {
    /// An event of a connection.
    Event(Event),
    /// Records that are missing here.
    Loss(Loss),
    /// Tracing begins.
    Start(Box<Start>),
    /// What was open is known; from here on nothing is missed.
    Ready,
    /// The figures so far.
    Heartbeat(Box<Figures>),
    /// Tracing has ended; the books are closed.
    Stop(Box<Stop>),
}

/// Records that are missing: how many, which numbers they would have had, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// The first number that is missing.
    pub first_seq: u64,
    /// The last one.
    pub last_seq: u64,
    /// How many: the size of that range.
    pub count: u64,
    /// How many by each cause.
    pub causes: Losses,
}

/// The beginning of a run: what traces, where, and what.
#[derive(Clone, Debug, Serialize)]
pub struct Start {
    /// Of connledger.
    pub version: &'static str,
    /// That it was built from.
    pub commit: &'static str,
    /// /etc/machine-id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_id: Option<String>,
    /// Of this boot.
    pub boot_id: String,
    /// The kernel's release.
    pub kernel: String,
    /// Of connledger itself.
    pub pid: u32,
    /// The kinds of events asked for.
    pub events: Vec<Kind>,
    /// The hooks in use.
    pub hooks: Hooks,
    /// The filters, as they were given; absent without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filters: Option<FiltersGiven>,
    /// Size of the ring buffer, bytes.
    pub ring_size: u32,
}

/// The filters as they were given on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FiltersGiven {
    /// `--pid`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<String>,
    /// `--uid`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// `-4` or `-6`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<&'static str>,
    /// Some of the above is too long for a record and was cut.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// The books at one moment. At the end, `observed = written + lost + filtered`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Events that were asked for and happened.
    pub observed: u64,
    /// Events handed to the outputs.
    pub written: u64,
    /// Events lost.
    pub lost: u64,
    /// Events that a filter refused, or that came after the last one wanted.
    pub filtered: u64,
    /// Observed and not yet accounted for; in a heartbeat only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<u64>,
    /// `lost` by cause; absent if nothing was lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub causes: Option<Losses>,
    /// What is missing inside of events; absent if nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<Incomplete>,
    /// Transitions that only the second program on the hook saw; told for those who tune hosts.
    #[serde(skip_serializing_if = "is_zero")]
    pub recovered: u64,
    /// The wall clock was set by so much since the last time that figures were told, microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_step_us: Option<i64>,
}

/// Events that were told, but not wholly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Incomplete {
    /// No memory for the state of a socket or a process: owner, times or description are missing.
    #[serde(skip_serializing_if = "is_zero")]
    pub storage_failed: u64,
    /// Accepts without `wait_us`: more connections were waiting than the table holds.
    #[serde(skip_serializing_if = "is_zero")]
    pub accept_queue_full: u64,
    /// Closes attributed to the listener's owner instead of the acceptor.
    #[serde(skip_serializing_if = "is_zero")]
    pub acceptors_full: u64,
    /// Times that a process's description found no room in the ring; it is sent again.
    #[serde(skip_serializing_if = "is_zero")]
    pub process_ring_full: u64,
    /// Events whose process's description is not known.
    #[serde(skip_serializing_if = "is_zero")]
    pub process_unknown: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The end of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Stop {
    /// Why it ended.
    pub reason: StopReason,
    /// The closed books.
    #[serde(flatten)]
    pub figures: Figures,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// SIGINT: Ctrl-C.
    Interrupted,
    /// SIGTERM.
    Terminated,
    /// `--duration` is over.
    Duration,
    /// `--max-events` were written.
    MaxEvents,
    /// Nobody reads any output any more.
    OutputsClosed,
}

/// The ledger of one run.
#[derive(Debug)]
pub struct Ledger {
    next_seq: u64,
    clock: WallClock,
    processes: ProcessTable,
    /// How many events are wanted.
    limit: Option<u64>,
    written: u64,
    /// Refused here because of the limit; the kernel side's filters count by themselves.
    beyond_limit: u64,
    process_unknown: u64,
    /// Malformed records and what was declared unaccounted: losses that the counters do not know.
    own_losses: Losses,
    /// All losses that have been given numbers.
    declared: Losses,
    counters: Counters,
    skipped_accepts: u64,
}

impl Ledger {
    /// An empty ledger, for `limit` events.
    #[must_use]
    pub fn new(limit: Option<u64>) -> Self {
        Self {
            next_seq: 1,
            clock: WallClock::default(),
            processes: ProcessTable::default(),
            limit,
            written: 0,
            beyond_limit: 0,
            process_unknown: 0,
            own_losses: Losses::default(),
            declared: Losses::default(),
            counters: Counters::default(),
            skipped_accepts: 0,
        }
    }

    /// Follows the wall clock; to be called now and then, before a batch of records.
    pub fn follow_clock(&mut self) {
        self.clock.follow();
    }

    /// Whether all events that are wanted have been written.
    #[must_use]
    pub fn limit_reached(&self) -> bool {
        self.limit.is_some_and(|limit| self.written >= limit)
    }

    /// Images announced under an older generation are to be announced again.
    #[must_use]
    pub fn process_generation(&self) -> u32 {
        self.processes.generation()
    }

    /// Takes one record of the ring: an event becomes an entry, a process image is remembered.
    pub fn take(&mut self, bytes: &[u8]) -> Option<Entry> {
        match wire::decode(bytes) {
            Ok(Record::Event(event)) => self.enter(event),
            Ok(Record::Process(announced)) => {
                let image = Image {
                    started_unix_ns: self.clock.unix_ns(announced.image.start_ns),
                    ppid: announced.ppid,
                    parent_comm: announced.parent_comm,
                };
                self.processes.insert(announced.image, image);
                None
            }
            Err(err) => {
                if is_event(err) {
                    self.own_losses.add(Cause::Malformed, 1);
                }
                None
            }
        }
    }

    fn enter(&mut self, mut event: Event) -> Option<Entry> {
        if self.limit_reached() {
            self.beyond_limit += 1;
            return None;
        }
        if let Some(owner) = &mut event.owner {
            owner.details = self.processes.get(&owner.image);
            self.process_unknown += u64::from(owner.details.is_none());
        }
        self.written += 1;
        let time_unix_ns = self.clock.unix_ns(event.time_ns);
        Some(self.number(time_unix_ns, Body::Event(event)))
    }

    /// An entry of the ledger's own, with the next number and the present time.
    pub fn own(&mut self, body: Body) -> Entry {
        let now = self.clock.unix_ns(boottime_ns());
        self.number(now, body)
    }

    fn number(&mut self, time_unix_ns: u64, body: Body) -> Entry {
        let seq = self.next_seq;
        self.next_seq += 1;
        Entry { seq, time_unix_ns, body }
    }

    /// Takes what the kernel side has counted, and states what was lost since the last time.
    pub fn account(&mut self, counters: Counters) -> Option<Entry> {
        self.counters = counters;
        self.declare_losses()
    }

    /// Takes how many accepts the kernel skipped, as [`Ledger::account`] takes the counters.
    pub fn account_skipped(&mut self, accepts: u64) -> Option<Entry> {
        self.skipped_accepts = accepts;
        self.declare_losses()
    }

    /// Closes the books: whatever was observed and is neither written nor lost nor filtered is declared
    /// lost.
    pub fn declare_unaccounted(&mut self) -> Option<Entry> {
        self.own_losses.add(Cause::Unaccounted, self.in_flight());
        self.declare_losses()
    }

    fn lost(&self) -> Losses {
        let mut lost = self.own_losses;
        lost.add(Cause::RingFull, self.counters.ring_full.iter().sum());
        lost.add(Cause::Nested, self.counters.nested.iter().sum());
        lost.add(Cause::Nested, self.skipped_accepts);
        lost.add(Cause::DescriptorGone, self.counters.descriptor_gone);
        lost
    }

    fn declare_losses(&mut self) -> Option<Entry> {
        let causes = self.lost().since(&self.declared);
        let count = causes.total();
        if count == 0 {
            return None;
        }
        self.declared.merge(&causes);
        let first_seq = self.next_seq;
        self.next_seq += count;
        Some(Entry {
            seq: first_seq,
            time_unix_ns: self.clock.unix_ns(boottime_ns()),
            body: Body::Loss(Loss { first_seq, last_seq: self.next_seq - 1, count, causes }),
        })
    }

    fn observed(&self) -> u64 {
        self.counters.observed.iter().sum::<u64>() + self.skipped_accepts
    }

    fn filtered(&self) -> u64 {
        self.counters.filtered.iter().sum::<u64>() + self.beyond_limit
    }

    /// Events that were observed when the counters were last read, and are not accounted for.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.observed().saturating_sub(self.written + self.lost().total() + self.filtered())
    }

    /// What has been lost so far.
    #[must_use]
    pub fn losses(&self) -> Losses {
        self.declared
    }

    /// The books as they stand.
    pub fn figures(&mut self) -> Figures {
        let lost = self.lost();
        let incomplete = Incomplete {
            storage_failed: self.counters.storage_failed,
            accept_queue_full: self.counters.accept_queue_full,
            acceptors_full: self.counters.acceptors_full,
            process_ring_full: self.counters.process_ring_full,
            process_unknown: self.process_unknown,
        };
        Figures {
            observed: self.observed(),
            written: self.written,
            lost: lost.total(),
            filtered: self.filtered(),
            in_flight: None,
            causes: (lost.total() != 0).then_some(lost),
            incomplete: (incomplete != Incomplete::default()).then_some(incomplete),
            recovered: self.counters.recovered,
            clock_step_us: self.clock.take_step_ns().map(|step| step / 1000),
        }
    }

    /// The books as they stand, for a heartbeat: with what is on its way.
    pub fn heartbeat(&mut self) -> Entry {
        let mut figures = self.figures();
        figures.in_flight = Some(self.in_flight());
        self.own(Body::Heartbeat(Box::new(figures)))
    }
}

/// Whether a record that could not be decoded was counted as an event by the kernel side.
fn is_event(err: WireError) -> bool {
    !matches!(err, WireError::WrongSize(kind, ..) if u32::from(kind) == wire::cl_kind::CL_PROCESS.0)
}

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

mod losses;
mod records;

pub use self::losses::Cause;
pub use self::losses::Losses;
pub use self::records::Body;
pub use self::records::Entry;
pub use self::records::Figures;
pub use self::records::FiltersGiven;
pub use self::records::Incomplete;
pub use self::records::Loss;
pub use self::records::OutputFigures;
pub use self::records::Previous;
pub use self::records::Start;
pub use self::records::Stop;
pub use self::records::StopReason;
use crate::clock::Moment;
use crate::clock::WallClock;
use crate::clock::boottime_ns;
use crate::event::Event;
use crate::event::Image;
use crate::event::Record;
use crate::process::ProcessTable;
use crate::wire;
use crate::wire::WireError;
use crate::wire::shared::Counters;

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The last number that was given.
    pub seq: u64,
    /// What happened until then has a number.
    pub until: Moment,
}

/// The ledger of one run.
#[derive(Debug)]
pub struct Ledger {
    next_seq: u64,
    /// What happened until then has a number; CLOCK_BOOTTIME.
    seen_ns: u64,
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
            seen_ns: 0,
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
        if self.clock.follow() {
            let clock = &self.clock;
            self.processes.set_starts(|image| clock.unix_ns(image.start_ns));
        }
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
        self.saw_until(event.time_ns);
        let time_unix_ns = self.clock.unix_ns(event.time_ns);
        Some(self.number(time_unix_ns, Body::Event(event)))
    }

    /// An entry of the ledger's own, with the next number and the present time.
    pub fn own(&mut self, body: Body) -> Entry {
        let now = self.now();
        self.number(now.wall.0, body)
    }

    /// Now, as the records have it.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.clock.moment(boottime_ns())
    }

    /// What happened until then, CLOCK_BOOTTIME, has come out of the ring. (Records may cross, by less than anybody
    /// could tell from outside.)
    pub fn saw_until(&mut self, boot_ns: u64) {
        self.seen_ns = self.seen_ns.max(boot_ns);
    }

    /// Where the run stands.
    #[must_use]
    pub fn position(&self) -> Position {
        // Whatever a record of the kernel's said: not in the future.
        let seen_ns = self.seen_ns.min(boottime_ns());
        Position { seq: self.next_seq - 1, until: self.clock.moment(seen_ns) }
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

    /// Events that the kernel side had seen when its counters were last read.
    #[must_use]
    pub fn observed(&self) -> u64 {
        self.counters.observed.iter().sum::<u64>() + self.skipped_accepts
    }

    /// Events of those that nobody wanted, by then.
    #[must_use]
    pub fn filtered(&self) -> u64 {
        self.counters.filtered.iter().sum::<u64>() + self.beyond_limit
    }

    /// Events handed to the outputs so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
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
            told_full: self.counters.told_full,
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
            outputs: Vec::new(),
        }
    }

    /// The books as they stand, for a heartbeat: with what is on its way, and how each output stands.
    pub fn heartbeat(&mut self, outputs: impl FnOnce(&Figures) -> Vec<OutputFigures>) -> Entry {
        let mut figures = self.figures();
        figures.in_flight = Some(self.in_flight());
        figures.outputs = outputs(&figures);
        self.own(Body::Heartbeat(Box::new(figures)))
    }
}

/// Whether a record that could not be decoded was counted as an event by the kernel side.
fn is_event(err: WireError) -> bool {
    !matches!(err, WireError::WrongSize(kind, ..) if u32::from(kind) == wire::cl_kind::CL_PROCESS.0)
}

//! What stands in the log: events in their places, and the ledger's own records.

use serde::Deserialize;
use serde::Serialize;

use super::losses::Losses;
use crate::clock::WallTime;
use crate::event::Event;
use crate::event::Kind;
use crate::probe::Hooks;

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
    /// All hooks are attached: from here on connections are seen.
    pub since: WallTime,
    /// The run before; absent if none is remembered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
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

/// The run before, as it was remembered, and for how long nobody watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Previous {
    /// Its id.
    pub run: String,
    /// The last number that it gave.
    pub seq: u64,
    /// Until then it saw what happened.
    pub until: WallTime,
    /// Why it ended; absent if it never came to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<StopReason>,
    /// Of its boot, if that was another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// From `until` to this run's `since`, microseconds. By the clock that never jumps; after a boot by the wall clock,
    /// and absent if that was set back by more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap_us: Option<u64>,
    /// Runs between, of which no output is known to have a line: they ended before.
    #[serde(skip_serializing_if = "is_zero")]
    pub unwritten: u64,
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
    /// `--comm`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comm: Option<String>,
    /// `--cgroup`, as paths below the mount
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// `--netns`, as inode numbers
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns: Option<String>,
    /// `-4` or `-6`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<&'static str>,
    /// `--local-port`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_port: Option<String>,
    /// `--remote-port`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_port: Option<String>,
    /// `--local-net`, and what `--no-loopback` excludes
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_net: Option<String>,
    /// `--remote-net`, and what `--no-loopback` excludes
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_net: Option<String>,
    /// `--exclude-self`; the processes it found are in `pid`
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub exclude_self: bool,
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
    /// The same books as each output has them, in the order in which they were asked for.
    pub outputs: Vec<OutputFigures>,
}

/// The books of one output: `observed = written + lost + filtered`, with what is still in flight.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OutputFigures {
    /// Its name.
    pub output: String,
    /// Events that it has written.
    pub written: u64,
    /// Events that it lacks: those that the ledger lost, and those that it lost itself.
    pub lost: u64,
    /// Events that wait for it; at the end of a run, those that it did not take in time.
    #[serde(skip_serializing_if = "is_zero")]
    pub in_flight: u64,
    /// Records that were sent twice, because a reader may not have read them before it went away.
    #[serde(skip_serializing_if = "is_zero")]
    pub resent: u64,
    /// Nothing is written to it any more: its reader went away for good, or it failed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub closed: bool,
    /// `lost` by cause; absent if nothing was lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub causes: Option<Losses>,
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
    /// Connections that were open at start and may be told twice, as `open` and as `accept`.
    #[serde(skip_serializing_if = "is_zero")]
    pub told_full: u64,
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
    /// Until then connections were seen: the hooks were detached after that.
    pub until: WallTime,
    /// The closed books.
    #[serde(flatten)]
    pub figures: Figures,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

impl StopReason {
    /// Every reason.
    pub const ALL: [Self; 5] =
        [Self::Interrupted, Self::Terminated, Self::Duration, Self::MaxEvents, Self::OutputsClosed];

    /// As it stands in a record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Interrupted => "interrupted",
            Self::Terminated => "terminated",
            Self::Duration => "duration",
            Self::MaxEvents => "max_events",
            Self::OutputsClosed => "outputs_closed",
        }
    }
}

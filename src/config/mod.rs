//! What the user wants, validated: nothing that follows needs to doubt it.

mod file;
mod filters;
mod kinds;
mod outputs;
mod remember;
mod units;

use std::time::Duration;

pub use self::file::ConfigFile;
pub use self::file::NOT_IN_A_FILE;
pub use self::file::Takes;
pub use self::file::exclude_each_other;
pub use self::file::takes;
pub use self::filters::Cgroup;
pub use self::filters::CgroupList;
pub use self::filters::Families;
pub use self::filters::Filters;
pub use self::filters::List;
pub use self::filters::Name;
pub use self::filters::NameList;
pub use self::filters::NetList;
pub use self::filters::NetRule;
pub use self::filters::Network;
pub use self::filters::NumberList;
pub use self::filters::PortList;
pub use self::filters::PortRange;
pub use self::filters::parse_names;
pub use self::filters::parse_netns;
pub use self::kinds::KindList;
pub use self::outputs::Destination;
pub use self::outputs::FileOutput;
pub use self::outputs::JournaldOutput;
pub use self::outputs::MAX_OUTPUTS;
pub use self::outputs::OnFull;
pub use self::outputs::Output;
pub use self::outputs::OutputSpec;
pub use self::outputs::SocketOutput;
pub use self::remember::Remember;
pub use self::units::default_ring_size;
pub use self::units::parse_duration;
pub use self::units::parse_ring_size;
pub use self::units::show_duration;
pub use self::units::show_size;
pub use self::units::smallest_ring_size;
use crate::event::Kind;

/// What to trace, and where to write it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "flags")]
pub struct Config {
    /// The kinds of events; at least one, none twice.
    pub events: Vec<Kind>,
    /// Which connections.
    pub filters: Filters,
    /// The TCP connections that an MPTCP connection is made of are told too.
    pub mptcp_subflows: bool,
    /// Where to write; at least one, none twice.
    pub outputs: Vec<Output>,
    /// Where this run is remembered for the next one.
    pub remember: Remember,
    /// Standard output is the journal, and nobody has named an output: so the journal was chosen.
    pub stdout_is_journal: bool,
    /// Stop after so many events.
    pub max_events: Option<u64>,
    /// Stop after so long.
    pub duration: Option<Duration>,
    /// Size of the ring buffer in bytes: a power of two, and whole pages.
    pub ring_size: u32,
    /// How long events may wait in the ring while more of them come.
    pub flush_interval: Duration,
    /// Write the figures so often.
    pub heartbeat: Option<Duration>,
    /// Say nothing but warnings and errors.
    pub quiet: bool,
    /// Say more.
    pub verbose: bool,
}

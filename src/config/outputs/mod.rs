//! The outputs, as they are named: `WHERE[,OPTION=VALUE]…` on the command line, a table each in a file.

mod destination;
mod spec;

pub use self::destination::Destination;
pub use self::destination::FileOutput;
pub use self::destination::JournaldOutput;
pub use self::destination::SocketOutput;
pub use self::spec::OutputSpec;
use crate::encode::Format;

/// So many are enough, and fit into one record with all their figures.
pub const MAX_OUTPUTS: usize = 8;

/// One output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Where to.
    pub destination: Destination,
    /// How.
    pub format: Format,
    /// A table gets a column of times.
    pub timestamps: bool,
    /// What happens when its queue is full.
    pub on_full: OnFull,
    /// So many records may wait for it; one batch may lie beyond.
    pub queue: usize,
}

/// What happens when an output's queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFull {
    /// The collector waits, and with it all outputs, until the ring is full; what it has no room for is counted in
    /// the kernel.
    Block,
    /// This output alone goes without: it counts what it drops, and says so in its own stream.
    Drop,
}

impl OnFull {
    /// As it is named.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Drop => "drop",
        }
    }

    /// How many records may wait if nobody says how many. Behind `Block` the ring holds the rest; with `Drop` the
    /// queue alone carries the output over a restart of its reader. A record takes about 240 bytes here.
    #[must_use]
    pub const fn default_queue(self) -> usize {
        match self {
            Self::Block => 4096,
            Self::Drop => 16384,
        }
    }
}

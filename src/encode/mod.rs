//! From entries of the ledger to bytes: one file a format.
//!
//! To add a format: one file here with an [`Encoder`], one variant of [`Format`], one arm in
//! [`Format::encoder`].

mod ip;
mod journal;
mod json;
mod ndjson;
mod number;
mod process;
mod table;
mod time;
mod words;

use crate::host::Identity;
use crate::ledger::Entry;

pub(crate) use self::json::push_count;
pub(crate) use self::number::push_u64;
pub(crate) use self::time::TimeWriter;

pub use self::ip::write_ip;
pub use self::journal::Journal;
pub use self::ndjson::Ndjson;
pub use self::ndjson::SCHEMA_VERSION;
pub use self::table::Table;

/// The longest line that any format writes, with its newline: what rsyslog takes by default.
pub const MAX_LINE: usize = 8192;

/// Turns entries into lines, or datagrams.
pub trait Encoder: Send {
    /// What goes before the first entry, if anything.
    fn begin(&mut self, _out: &mut Vec<u8>) {}

    /// Appends the entry as whole lines, each shorter than [`MAX_LINE`]; or as a datagram of the journal's, shorter than
    /// twice that.
    fn encode(&mut self, entry: &Entry, out: &mut Vec<u8>);
}

/// The formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One JSON object a line
    Ndjson,
    /// Columns for people, as those of tcpconnect and tcpaccept
    Table,
    /// Fields of the systemd journal's native protocol
    #[value(skip)]
    Journal,
}

impl Format {
    /// An encoder of this format for the output that is called so; `timestamps` asks a table for a column of times.
    #[must_use]
    pub fn encoder(self, identity: &Identity, output: &str, timestamps: bool) -> Box<dyn Encoder> {
        match self {
            Self::Ndjson => Box::new(Ndjson::new(identity, output)),
            Self::Table => Box::new(Table::new(timestamps)),
            Self::Journal => Box::new(Journal::new(identity, output)),
        }
    }
}

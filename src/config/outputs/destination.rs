//! The places to write to.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::OnFull;
use crate::encode::Format;

/// A place to write to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard output.
    Stdout,
    /// A file.
    File(FileOutput),
    /// A UNIX stream socket at which a consumer listens.
    Unix(SocketOutput),
    /// A UNIX datagram socket that a consumer has bound.
    UnixDatagram(SocketOutput),
    /// The systemd journal, by its native protocol.
    Journald(JournaldOutput),
}

/// A file to append to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOutput {
    /// Its path; generations lie beside it, as PATH.1, PATH.2, …
    pub path: PathBuf,
    /// Permissions of a new file.
    pub mode: u32,
    /// A new file is begun before this one is larger, bytes.
    pub rotate: Option<u64>,
    /// A new file is begun when this one is older.
    pub rotate_every: Option<Duration>,
    /// So many old generations stay.
    pub keep: u32,
}

impl FileOutput {
    /// A file without rotation.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, mode: 0o640, rotate: None, rotate_every: None, keep: 7 }
    }

    /// Whether a new one is ever begun.
    #[must_use]
    pub fn rotates(&self) -> bool {
        self.rotate.is_some() || self.rotate_every.is_some()
    }
}

/// A socket to send to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketOutput {
    /// Its path.
    pub path: PathBuf,
    /// Size of the send buffer, bytes; the system's default if not given.
    pub send_buffer: Option<u32>,
}

/// A journal to write to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournaldOutput {
    /// The journal's namespace; the host's own journal if not given.
    pub namespace: Option<String>,
}

impl JournaldOutput {
    /// The native socket of its journald.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        match &self.namespace {
            None => PathBuf::from("/run/systemd/journal/socket"),
            Some(namespace) => PathBuf::from(format!("/run/systemd/journal.{namespace}/socket")),
        }
    }
}

impl Destination {
    /// What happens with a full queue if nobody says: those that people read along, and files, are waited for; a
    /// consumer that may be gone for good is not.
    #[must_use]
    pub const fn default_on_full(&self) -> OnFull {
        match self {
            Self::Stdout | Self::File(_) => OnFull::Block,
            Self::Unix(_) | Self::UnixDatagram(_) | Self::Journald(_) => OnFull::Drop,
        }
    }

    /// The one format that it takes, if it has no choice.
    #[must_use]
    pub const fn own_format(&self) -> Option<Format> {
        match self {
            Self::Journald(_) => Some(Format::Journal),
            Self::Stdout | Self::File(_) | Self::Unix(_) | Self::UnixDatagram(_) => None,
        }
    }
}

/// Without its options: this is the output's name, in messages and in records.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::File(file) => write!(f, "file:{}", file.path.display()),
            Self::Unix(socket) => write!(f, "unix:{}", socket.path.display()),
            Self::UnixDatagram(socket) => write!(f, "unix-dgram:{}", socket.path.display()),
            Self::Journald(JournaldOutput { namespace: None }) => f.write_str("journald"),
            Self::Journald(JournaldOutput { namespace: Some(name) }) => {
                write!(f, "journald:{name}")
            }
        }
    }
}

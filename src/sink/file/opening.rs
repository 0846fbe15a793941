//! Opens a log for appending: a regular file at the very path that was named, and nobody else's.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;

use crate::held::Held;
use crate::held::Identity;
use crate::held::Place;
use crate::held::Refused;

/// An open log.
#[derive(Debug)]
pub struct Log {
    held: Held,
    /// How much is in it, bytes.
    pub size: u64,
    /// It ends in mid-line: whoever wrote it last was killed.
    pub is_torn: bool,
    /// When it was made, if the file system knows.
    pub born: Option<SystemTime>,
}

impl Log {
    /// Opens it, or makes it with exactly this mode.
    ///
    /// # Errors
    /// If it cannot be opened or made, is no regular file, or another process writes it.
    pub fn open(path: &Path, mode: u32) -> io::Result<Self> {
        let access = OFlags::WRONLY.union(OFlags::APPEND);
        let held = Held::open(path, access, mode).map_err(explain)?;
        // Only now: whoever had the lock may have written until it went.
        let size = held.file.metadata()?.len();
        Ok(Self {
            is_torn: size > 0 && !ends_a_line(path, held.identity(), size),
            born: held.file.metadata()?.created().ok(),
            held,
            size,
        })
    }

    /// The descriptor.
    pub fn file(&self) -> &File {
        &self.held.file
    }

    /// Whether it is still this file that lies there.
    pub fn place(&self, path: &Path) -> Place {
        self.held.place(path)
    }

    /// Whether it still lies somewhere, under whatever name.
    pub fn has_name(&self) -> bool {
        self.held.has_name()
    }
}

/// What to do instead.
fn explain(refused: Refused) -> io::Error {
    let (kind, reason) = match refused {
        Refused::System(err) => return err,
        // Two that rotate one file would rename it away from each other.
        Refused::Locked => (
            io::ErrorKind::AlreadyExists,
            "another process writes it, and holds its lock; give each connledger a file of its own"
                .to_owned(),
        ),
        Refused::Kind(kind) => (
            io::ErrorKind::InvalidInput,
            match kind {
                FileType::Fifo => {
                    "it is a FIFO and no file; write to stdout and redirect that: >FIFO".to_owned()
                }
                FileType::Socket => {
                    "it is a socket and no file; write to unix:PATH or unix-dgram:PATH".to_owned()
                }
                FileType::Symlink | FileType::Directory => refused.to_string(),
                _ => "it is a device and no file; write to stdout and redirect that: >DEVICE"
                    .to_owned(),
            },
        ),
    };
    io::Error::new(kind, reason)
}

/// Whether the last byte of a file ends a line. One that we may not read is taken to end in mid-line: an empty line
/// is no harm, two records in one line are.
fn ends_a_line(path: &Path, identity: Identity, size: u64) -> bool {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let last = || -> io::Result<Option<u8>> {
        let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        if Identity::of(&rustix::fs::fstat(&file)?) != identity {
            return Ok(None);
        }
        let mut byte = [0];
        file.read_exact_at(&mut byte, size - 1)?;
        Ok(Some(byte[0]))
    };
    matches!(last(), Ok(Some(b'\n')))
}

//! A regular file at the very path that was named, locked: while it is held, no other connledger has it.
//!
//! The lock goes with the descriptor, however the process ends, and belongs to the file, not to its name. So it is
//! looked, once the lock is there, whether the file still lies at its path.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::Access;
use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::fs::FlockOperation;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::Stat;
use rustix::io::Errno;

/// A FIFO must not make us wait for its reader, nor a terminal become ours, before it is seen what they are.
const FLAGS: OFlags =
    OFlags::CLOEXEC.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// So often somebody may take the file away or put one there while it is opened.
const RACES: u32 = 8;

/// An open file, and its lock.
#[derive(Debug)]
pub struct Held {
    /// The descriptor. The lock goes with it.
    pub file: File,
    identity: Identity,
}

/// Why a file cannot be held.
#[derive(Debug)]
pub enum Refused {
    /// It is something else than a regular file.
    Kind(FileType),
    /// Another process holds it.
    Locked,
    /// The system says no.
    System(io::Error),
}

/// Which file it is, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
}

/// What is at a path now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// This file; or it cannot be seen.
    Same,
    /// Nothing.
    Empty,
    /// Something else.
    Other,
}

impl Held {
    /// Opens it for what `access` says, or makes it with exactly this mode.
    ///
    /// # Errors
    /// If it cannot be opened or made, is no regular file, or another process holds it.
    pub fn open(path: &Path, access: OFlags, mode: u32) -> Result<Self, Refused> {
        for _ in 0..RACES {
            let held = Self::try_open(path, access, mode)?;
            // Until we had the lock its last owner may have renamed it.
            if held.place(path) == Place::Same {
                return Ok(held);
            }
        }
        Err(Refused::System(somebody_else()))
    }

    fn try_open(path: &Path, access: OFlags, mode: u32) -> Result<Self, Refused> {
        let file = open_or_make(path, FLAGS.union(access), mode)?;
        let stat = rustix::fs::fstat(&file)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind != FileType::RegularFile {
            return Err(Refused::Kind(kind));
        }
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
            == Err(Errno::WOULDBLOCK)
        {
            return Err(Refused::Locked);
        }
        // Not every file system has locks: any other answer is as good as one.
        Ok(Self { file, identity: Identity::of(&stat) })
    }

    /// Which file it is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Whether it is still this file that lies there.
    #[must_use]
    pub fn place(&self, path: &Path) -> Place {
        match rustix::fs::lstat(path) {
            Ok(stat) if Identity::of(&stat) == self.identity => Place::Same,
            Ok(_) => Place::Other,
            Err(Errno::NOENT | Errno::NOTDIR) => Place::Empty,
            // A directory that cannot be looked into says nothing about the file.
            Err(_) => Place::Same,
        }
    }

    /// Whether it still lies somewhere, under whatever name.
    #[must_use]
    pub fn has_name(&self) -> bool {
        rustix::fs::fstat(&self.file).is_ok_and(|stat| stat.st_nlink > 0)
    }
}

impl Identity {
    /// That of an open file.
    #[must_use]
    pub fn of(stat: &Stat) -> Self {
        Self { device: stat.st_dev, inode: stat.st_ino }
    }
}

impl From<Errno> for Refused {
    fn from(err: Errno) -> Self {
        Self::System(err.into())
    }
}

impl Refused {
    /// Whether the permissions are in the way.
    #[must_use]
    pub fn is_permission_denied(&self) -> bool {
        matches!(self, Self::System(err) if err.kind() == io::ErrorKind::PermissionDenied)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(FileType::Symlink) => {
                f.write_str("it is a symbolic link, and is not followed; name the file itself")
            }
            Self::Kind(FileType::Directory) => f.write_str("it is a directory; name a file in it"),
            Self::Kind(_) => f.write_str("it is no regular file"),
            Self::Locked => f.write_str("another process holds its lock"),
            Self::System(err) => err.fmt(f),
        }
    }
}

fn open_or_make(path: &Path, flags: OFlags, mode: u32) -> Result<File, Refused> {
    let exact = Mode::from_raw_mode(mode);
    for _ in 0..RACES {
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(fd) => return Ok(fd.into()),
            Err(Errno::NOENT) => {}
            Err(err) => return Err(explain(path, err)),
        }
        let flags = flags.union(OFlags::CREATE).union(OFlags::EXCL);
        match rustix::fs::open(path, flags, exact & Mode::RWXU) {
            Ok(fd) => {
                // In spite of the umask, which is there for programs that do not know better.
                rustix::fs::fchmod(&fd, exact)?;
                return Ok(fd.into());
            }
            Err(Errno::EXIST) => {}
            Err(Errno::NOENT) => return Err(Refused::System(no_directory(path))),
            Err(Errno::ACCESS) => {
                let why = may_replace(path).err().unwrap_or(Errno::ACCESS.into());
                return Err(Refused::System(why));
            }
            Err(err) => return Err(err.into()),
        }
    }
    Err(Refused::System(somebody_else()))
}

fn somebody_else() -> io::Error {
    io::Error::other("somebody keeps making and removing it")
}

/// Why a path that is there cannot be opened.
fn explain(path: &Path, err: Errno) -> Refused {
    let kind = rustix::fs::lstat(path).map(|stat| FileType::from_raw_mode(stat.st_mode));
    match kind {
        // A symbolic link, a FIFO that nobody reads, a socket, a directory: the numbers alone say little.
        Ok(kind) if matches!(err, Errno::LOOP | Errno::NXIO | Errno::ISDIR) => Refused::Kind(kind),
        _ => err.into(),
    }
}

fn no_directory(path: &Path) -> io::Error {
    let directory = directory(path).display();
    let reason = format!("there is no directory {directory}; make it first");
    io::Error::new(io::ErrorKind::NotFound, reason)
}

/// The directory in which a file lies.
#[must_use]
pub fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Whether this thread may make and rename files in the directory of `path`; if not, why, and what to do.
///
/// # Errors
/// The refusal.
pub fn may_replace(path: &Path) -> io::Result<()> {
    let directory = directory(path);
    let wanted = Access::WRITE_OK | Access::EXEC_OK;
    rustix::fs::accessat(CWD, directory, wanted, AtFlags::EACCESS).map_err(|err| {
        if err != Errno::ACCESS {
            return err.into();
        }
        let (user, directory) = (rustix::process::geteuid().as_raw(), directory.display());
        let reason = format!(
            "{err}: without capabilities, which connledger gives up, its user {user} cannot write to {directory}; \
             name the file in a directory of its own, as made by: install -d -o {user} -m 750 DIRECTORY"
        );
        io::Error::new(io::ErrorKind::PermissionDenied, reason)
    })
}

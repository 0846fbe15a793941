//! Opens a log for appending: a regular file at the very path that was named, and nobody else's.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::SystemTime;

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
const FLAGS: OFlags = OFlags::WRONLY
    .union(OFlags::APPEND)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

/// So often somebody may take the file away or put one there while it is opened.
const RACES: u32 = 8;

/// An open log.
#[derive(Debug)]
pub struct Log {
    /// The descriptor. The lock goes with it.
    pub file: File,
    identity: Identity,
    /// How much is in it, bytes.
    pub size: u64,
    /// It ends in mid-line: whoever wrote it last was killed.
    pub is_torn: bool,
    /// When it was made, if the file system knows.
    pub born: Option<SystemTime>,
}

/// Which file it is, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
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

impl Log {
    /// Opens it, or makes it with exactly this mode.
    ///
    /// # Errors
    /// If it cannot be opened or made, is no regular file, or another process writes it.
    pub fn open(path: &Path, mode: u32) -> io::Result<Self> {
        for _ in 0..RACES {
            let log = Self::try_open(path, mode)?;
            // Until we had the lock its last writer may have rotated it away.
            if log.place(path) == Place::Same {
                return Ok(log);
            }
        }
        Err(somebody_else())
    }

    fn try_open(path: &Path, mode: u32) -> io::Result<Self> {
        let file = open_or_make(path, mode)?;
        let stat = rustix::fs::fstat(&file)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind != FileType::RegularFile {
            return Err(no_file(kind));
        }
        lock(&file)?;
        // Only now: whoever had the lock may have written until it went.
        let size = file.metadata()?.len();
        let identity = Identity::of(&stat);
        Ok(Self {
            is_torn: size > 0 && !ends_a_line(path, identity, size),
            born: born(&file),
            file,
            identity,
            size,
        })
    }

    /// Whether it is still this file that lies there.
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
    pub fn has_name(&self) -> bool {
        rustix::fs::fstat(&self.file).is_ok_and(|stat| stat.st_nlink > 0)
    }
}

impl Identity {
    fn of(stat: &Stat) -> Self {
        Self { device: stat.st_dev, inode: stat.st_ino }
    }
}

fn open_or_make(path: &Path, mode: u32) -> io::Result<File> {
    let exact = Mode::from_raw_mode(mode);
    for _ in 0..RACES {
        match rustix::fs::open(path, FLAGS, Mode::empty()) {
            Ok(fd) => return Ok(fd.into()),
            Err(Errno::NOENT) => {}
            Err(err) => return Err(explain(path, err)),
        }
        let flags = FLAGS.union(OFlags::CREATE).union(OFlags::EXCL);
        match rustix::fs::open(path, flags, exact & Mode::RWXU) {
            Ok(fd) => {
                // In spite of the umask, which is there for programs that do not know better.
                rustix::fs::fchmod(&fd, exact)?;
                return Ok(fd.into());
            }
            Err(Errno::EXIST) => {}
            Err(Errno::NOENT) => return Err(no_directory(path)),
            Err(Errno::ACCESS) => {
                return Err(may_replace(path).err().unwrap_or(Errno::ACCESS.into()));
            }
            Err(err) => return Err(err.into()),
        }
    }
    Err(somebody_else())
}

fn somebody_else() -> io::Error {
    io::Error::other("somebody keeps making and removing it")
}

/// Why a path that is there cannot be opened.
fn explain(path: &Path, err: Errno) -> io::Error {
    let kind = rustix::fs::lstat(path).map(|stat| FileType::from_raw_mode(stat.st_mode));
    match kind {
        // A symbolic link, a FIFO that nobody reads, a socket, a directory: the numbers alone say little.
        Ok(kind) if matches!(err, Errno::LOOP | Errno::NXIO | Errno::ISDIR) => no_file(kind),
        _ => err.into(),
    }
}

fn no_file(kind: FileType) -> io::Error {
    let reason = match kind {
        FileType::Symlink => "it is a symbolic link, and is not followed; name the file itself",
        FileType::Directory => "it is a directory; name a file in it",
        FileType::Fifo => "it is a FIFO and no file; write to stdout and redirect that: >FIFO",
        FileType::Socket => "it is a socket and no file; write to unix:PATH or unix-dgram:PATH",
        _ => "it is a device and no file; write to stdout and redirect that: >DEVICE",
    };
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}

fn no_directory(path: &Path) -> io::Error {
    let directory = directory(path).display();
    let reason = format!("there is no directory {directory}; make it first");
    io::Error::new(io::ErrorKind::NotFound, reason)
}

/// The directory in which a file lies.
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
             let it: chown {user} {directory}; chmod u+wx {directory}"
        );
        io::Error::new(io::ErrorKind::PermissionDenied, reason)
    })
}

/// Two that rotate one file would rename it away from each other. The lock goes when the descriptor does, however the
/// process ends.
fn lock(file: &File) -> io::Result<()> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "another process writes it, and holds its lock; give each connledger a file of its own",
        )),
        // Not every file system has locks.
        _ => Ok(()),
    }
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

fn born(file: &File) -> Option<SystemTime> {
    file.metadata().ok()?.created().ok()
}

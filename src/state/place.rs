//! The file in which a run is remembered: opened, looked into, made.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::Mode;
use rustix::fs::OFlags;

use super::line;
use super::line::Last;
use super::line::SIZE;
use crate::held::Held;
use crate::held::Refused;
use crate::held::directory;
use crate::privileges;

/// Its owner and group may know which run was there.
const MODE: u32 = 0o640;

/// What is in a file of a state: a run, nothing yet, or something else.
pub type Found = Result<Option<Last>, String>;

/// Opens it as it could be opened again later, without capabilities; if that does not do, with them.
pub fn open(path: &Path) -> Result<(Held, Found), Refused> {
    let attempt = || Held::open(path, OFlags::RDWR, MODE);
    let held = match privileges::without(attempt).map_err(system)? {
        Err(err) if err.is_permission_denied() => attempt().map_err(|err| explain(path, err))?,
        held => held?,
    };
    let found = read(&held.file).map_err(Refused::System)?;
    let Some(line) = found.filter(|line| line::is_ours(line)) else {
        let reason = "it holds something else, which is left as it is; name another file";
        return Err(Refused::System(io::Error::other(reason)));
    };
    let found = Last::parse(&line);
    if !matches!(found, Ok(Some(_))) {
        // Its room on the disk is taken before anything depends on it.
        make(&held.file, path).map_err(Refused::System)?;
    }
    Ok((held, found))
}

fn system(err: anyhow::Error) -> Refused {
    Refused::System(io::Error::other(err))
}

/// One that is there and may not be opened belongs to somebody else: who that is, and what to do.
fn explain(path: &Path, refused: Refused) -> Refused {
    let user = rustix::process::geteuid().as_raw();
    match std::fs::symlink_metadata(path) {
        Ok(found) if refused.is_permission_denied() && found.is_file() => {
            let (owner, mode, at) = (found.uid(), found.mode() & 0o7777, path.display());
            Refused::System(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!(
                    "{refused}: it belongs to user {owner}, with the mode {mode:04o}, and connledger's user {user} cannot \
                     read and write it; let it: chown {user} {at}; chmod u+rw {at}"
                ),
            ))
        }
        _ => refused,
    }
}

/// The line; `None` if there is more.
fn read(file: &File) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = [0; SIZE + 1];
    let mut len = 0;
    while len < bytes.len() {
        match file.read_at(&mut bytes[len..], len as u64)? {
            0 => return Ok(Some(bytes[..len].to_vec())),
            read => len += read,
        }
    }
    Ok(None)
}

/// Makes it a blank line of the right size, and its name safe from a power cut.
fn make(file: &File, path: &Path) -> io::Result<()> {
    file.set_len(SIZE as u64)?;
    file.write_all_at(&line::blank(), 0)?;
    file.sync_all()?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // A directory that may be written and not read cannot be synced.
    if let Ok(directory) = rustix::fs::open(directory(path), flags, Mode::empty()) {
        let _ = rustix::fs::fsync(directory);
    }
    Ok(())
}

/// Who holds it, as far as it says so.
pub fn holder(path: &Path) -> String {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let line = || -> io::Result<Option<Vec<u8>>> {
        read(&File::from(rustix::fs::open(path, flags, Mode::empty())?))
    };
    let last = line().ok().flatten().and_then(|line| Last::parse(&line).ok()).flatten();
    match last {
        Some(last) if last.stopped.is_none() && last.is_alive() => {
            format!("another connledger, run {} (process {}), has it", last.run, last.pid)
        }
        // A backup; or another connledger before its first record: the run before that stands there still.
        _ => "another process holds its lock".to_owned(),
    }
}

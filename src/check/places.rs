//! Whether an output could be opened, by looking only. What cannot be known before it is tried is a doubt, and so is what
//! a run waits for.

use std::fs;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use rustix::fs::Access;
use rustix::fs::AtFlags;
use rustix::fs::CWD;

use crate::config::Destination;
use crate::config::Output;
use crate::config::Remember;
use crate::config::SocketOutput;
use crate::held::directory;

/// Something that stands against writing to a place.
#[derive(Debug)]
pub enum Doubt {
    /// As it is now, a run would end at once.
    Refusal(String),
    /// A run would begin, or may.
    Warning(String),
}

/// What stands against writing there, with this thread's capabilities.
pub fn doubts(destination: &Destination) -> Vec<Doubt> {
    let doubt = match destination {
        Destination::Stdout => rustix::fs::fstat(rustix::stdio::stdout())
            .err()
            .map(|err| Doubt::Refusal(format!("stdout: {}", io::Error::from(err)))),
        Destination::File(file) => return file_doubts(&file.path, file.rotates()),
        Destination::Unix(SocketOutput { path, .. })
        | Destination::UnixDatagram(SocketOutput { path, .. }) => socket_doubt(path),
        Destination::Journald(journal) => socket_doubt(&journal.socket()),
    };
    doubt.into_iter().collect()
}

/// The same of the place where the run is remembered. The directory of an output was looked into with that.
pub fn doubts_of_state(remember: &Remember, outputs: &[Output]) -> Vec<Doubt> {
    let Remember::At { path, asked } = remember else { return Vec::new() };
    let beside = |output: &Output| match &output.destination {
        Destination::File(file) => directory(&file.path) == directory(path),
        _ => false,
    };
    let doubts = if outputs.iter().any(beside) {
        let is_there = matches!(look(path), Ok(Some(_)));
        is_there.then(|| doubt_of_itself(path)).flatten().into_iter().collect()
    } else {
        file_doubts(path, false)
    };
    // A place that nobody has asked for is done without.
    let weigh = |doubt| match doubt {
        Doubt::Refusal(said) if !asked => Doubt::Warning(said),
        other => other,
    };
    doubts.into_iter().map(weigh).collect()
}

fn file_doubts(path: &Path, rotates: bool) -> Vec<Doubt> {
    // There it is made, also again, and renamed.
    doubt_of_itself(path).into_iter().chain(directory_doubt(path, rotates)).collect()
}

fn doubt_of_itself(path: &Path) -> Option<Doubt> {
    match look(path) {
        Err(doubt) => Some(Doubt::Warning(doubt)),
        Ok(Some(found)) if !found.is_file() => {
            Some(Doubt::Refusal(format!("{} is no regular file", path.display())))
        }
        // Who has the capabilities opens it with them.
        Ok(Some(_)) => refused(path, Access::WRITE_OK).map(Doubt::Warning),
        Ok(None) => None,
    }
}

fn directory_doubt(file: &Path, rotates: bool) -> Option<Doubt> {
    let directory = directory(file);
    match fs::metadata(directory) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => {
            Some(Doubt::Refusal(cannot(directory, &err)))
        }
        Err(err) => Some(Doubt::Warning(cannot(directory, &err))),
        Ok(found) if !found.is_dir() => {
            Some(Doubt::Refusal(format!("{} is no directory", directory.display())))
        }
        Ok(_) => {
            let weigh = if rotates { Doubt::Refusal } else { Doubt::Warning };
            refused(directory, Access::WRITE_OK | Access::EXEC_OK).map(weigh)
        }
    }
}

/// A run waits until it is there, and may be used.
fn socket_doubt(path: &Path) -> Option<Doubt> {
    let said = match look(path) {
        Err(doubt) => Some(doubt),
        Ok(None) => Some(format!("there is no {} yet", path.display())),
        Ok(Some(found)) if !found.file_type().is_socket() => {
            Some(format!("{} is no socket", path.display()))
        }
        Ok(Some(_)) => refused(path, Access::WRITE_OK),
    };
    said.map(Doubt::Warning)
}

/// What there is, not what a symbolic link leads to.
fn look(path: &Path) -> Result<Option<Metadata>, String> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(err) => Err(cannot(path, &err)),
    }
}

/// Whether this process may not, by its effective ids and capabilities.
fn refused(path: &Path, access: Access) -> Option<String> {
    let allowed = rustix::fs::accessat(CWD, path, access, AtFlags::EACCESS);
    allowed.err().map(|err| {
        let err = io::Error::from(err);
        format!("{}, for a process without capabilities: {err}", path.display())
    })
}

fn cannot(path: &Path, err: &io::Error) -> String {
    if err.kind() == io::ErrorKind::NotFound {
        return format!("there is no {}", path.display());
    }
    format!("{}: {err}", path.display())
}

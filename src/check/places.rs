//! Whether an output could be opened, by looking only. What is wrong now may be right when tracing begins: these are
//! doubts, not errors.

use std::fs;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use rustix::fs::Access;
use rustix::fs::AtFlags;
use rustix::fs::CWD;

use crate::config::Destination;
use crate::config::FileOutput;
use crate::config::Output;
use crate::config::Remember;
use crate::config::SocketOutput;
use crate::held::directory;

/// What stands against writing there, with this thread's capabilities.
pub fn doubts(destination: &Destination) -> Vec<String> {
    let doubt = match destination {
        Destination::Stdout => rustix::fs::fstat(rustix::stdio::stdout())
            .err()
            .map(|err| format!("stdout: {}", io::Error::from(err))),
        Destination::File(FileOutput { path, .. }) => return file_doubts(path),
        Destination::Unix(SocketOutput { path, .. })
        | Destination::UnixDatagram(SocketOutput { path, .. }) => socket_doubt(path),
        Destination::Journald(journal) => socket_doubt(&journal.socket()),
    };
    doubt.into_iter().collect()
}

/// The same of the place where the run is remembered. The directory of an output was looked into with that.
pub fn doubts_of_state(remember: &Remember, outputs: &[Output]) -> Vec<String> {
    let Remember::At { path, .. } = remember else { return Vec::new() };
    let beside = |output: &Output| match &output.destination {
        Destination::File(file) => directory(&file.path) == directory(path),
        _ => false,
    };
    if outputs.iter().any(beside) {
        let is_there = matches!(look(path), Ok(Some(_)));
        is_there.then(|| doubt_of_itself(path)).flatten().into_iter().collect()
    } else {
        file_doubts(path)
    }
}

fn file_doubts(path: &Path) -> Vec<String> {
    // There it is made, also again, and renamed.
    doubt_of_itself(path).into_iter().chain(directory_doubt(path)).collect()
}

fn doubt_of_itself(path: &Path) -> Option<String> {
    match look(path) {
        Err(doubt) => Some(doubt),
        Ok(Some(found)) if !found.is_file() => {
            Some(format!("{} is no regular file", path.display()))
        }
        Ok(Some(_)) => refused(path, Access::WRITE_OK),
        Ok(None) => None,
    }
}

fn directory_doubt(file: &Path) -> Option<String> {
    let directory = directory(file);
    match fs::metadata(directory) {
        Err(err) => Some(cannot(directory, &err)),
        Ok(found) if !found.is_dir() => Some(format!("{} is no directory", directory.display())),
        Ok(_) => refused(directory, Access::WRITE_OK | Access::EXEC_OK),
    }
}

fn socket_doubt(path: &Path) -> Option<String> {
    match look(path) {
        Err(doubt) => Some(doubt),
        Ok(None) => Some(format!("there is no {} yet", path.display())),
        Ok(Some(found)) if !found.file_type().is_socket() => {
            Some(format!("{} is no socket", path.display()))
        }
        Ok(Some(_)) => refused(path, Access::WRITE_OK),
    }
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

//! Reading a file that says what a program with root's rights does: only those may have written it who have these
//! rights anyway.

use std::fs;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::Mode;
use rustix::fs::OFlags;

/// Permissions to write of the group and of others. A list of access rights (ACL) that lets others write shows in
/// the group's.
const OTHERS_WRITE: u32 = 0o022;

/// In a directory with this bit only an entry's owner can replace it.
const STICKY: u32 = 0o1000;

/// Where a file and all directories above it are root's.
const SAFE: &str = "/etc/connledger";

/// Reads a file, if nobody could have written it but root and the user that this process runs as. Symbolic links are
/// followed: what they lead to is judged, with the directories above it.
///
/// # Errors
/// If it cannot be read, is no file, is no text, or somebody else could have written it: who, and what to do.
pub fn read(path: &Path) -> Result<String, String> {
    // Opened once: what is judged is what is read. It does not wait for the other end of a FIFO.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let mut file = rustix::fs::open(path, flags, Mode::empty())
        .map(File::from)
        .map_err(|err| format!("cannot be read: {}", std::io::Error::from(err)))?;
    judge(&file)?;
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(|err| format!("cannot be read: {err}"))?;
    Ok(text)
}

fn judge(file: &File) -> Result<(), String> {
    let cannot = |err| format!("cannot be looked up: {err}");
    let found = file.metadata().map_err(cannot)?;
    if !found.is_file() {
        return Err("is no regular file".to_owned());
    }
    let path = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(cannot)?;
    for directory in path.ancestors().skip(1) {
        let found = fs::metadata(directory)
            .map_err(|err| format!("cannot be looked up: {}: {err}", directory.display()))?;
        // Not how that could be changed: a home is not to be root's.
        if let Some((fault, _)) = fault(&found, true) {
            return Err(format!(
                "is not to be trusted: it lies in {}, and {fault} (move it to where only root can write, as to {SAFE})",
                directory.display()
            ));
        }
    }
    if let Some((fault, remedy)) = fault(&found, false) {
        return Err(format!("is not to be trusted: {fault} ({remedy} {})", path.display()));
    }
    Ok(())
}

/// Who else could change it, and what mends that.
fn fault(found: &fs::Metadata, is_directory: bool) -> Option<(String, &'static str)> {
    let (owner, mode) = (found.uid(), found.mode());
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Some((format!("user {owner} owns it"), "chown root"));
    }
    let guarded = is_directory && mode & STICKY != 0;
    if mode & OTHERS_WRITE != 0 && !guarded {
        return Some((format!("others can write to it, mode {:04o}", mode & 0o7777), "chmod go-w"));
    }
    None
}

//! Reading a tracepoint's number where it is published: in tracefs, if that is mounted, and readable.

use std::fs;
use std::io;
use std::path::Path;

/// Where it is mounted, and where it used to be.
const MOUNTED: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// Why tracefs does not tell.
#[derive(Debug)]
pub struct Unread(io::Error);

/// The number of the tracepoint syscalls/`name`.
///
/// # Errors
/// If tracefs is not mounted, cannot be read, or has no such tracepoint.
pub fn id(name: &str) -> Result<u64, Unread> {
    let read = |mounted| {
        let text =
            fs::read_to_string(Path::new(mounted).join("events/syscalls").join(name).join("id"))?;
        text.trim().parse().map_err(io::Error::other)
    };
    match read(MOUNTED[0]) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => read(MOUNTED[1]),
        other => other,
    }
    .map_err(Unread)
}

impl Unread {
    /// What root could do to have it read.
    #[must_use]
    pub fn remedy(&self) -> String {
        let [mounted, _] = MOUNTED;
        let Self(err) = self;
        let command = match err.kind() {
            io::ErrorKind::PermissionDenied => {
                let group = rustix::process::getegid().as_raw();
                format!("mount -o remount,mode=750,gid={group} {mounted}")
            }
            _ => format!("mount -t tracefs tracefs {mounted}"),
        };
        format!("tracefs is not readable ({err}), which root could mend: {command}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_is_a_command() {
        let group = rustix::process::getegid().as_raw();
        for (kind, command) in [
            (
                io::ErrorKind::PermissionDenied,
                format!("mount -o remount,mode=750,gid={group} /sys/kernel/tracing"),
            ),
            (io::ErrorKind::NotFound, "mount -t tracefs tracefs /sys/kernel/tracing".to_owned()),
        ] {
            assert!(Unread(kind.into()).remedy().ends_with(&format!(": {command}")), "{kind}");
        }
    }
}

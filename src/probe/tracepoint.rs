//! Attaching to a classic tracepoint: its number is read from tracefs, mounted or not.

use std::fs;
use std::io;
use std::io::Read as _;
use std::os::fd::IntoRawFd as _;
use std::path::Path;

use anyhow::Context as _;
use libbpf_rs::Link;
use libbpf_rs::ProgramMut;
use perf_event::Builder;
use perf_event::events::Tracepoint;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::mount::FsMountFlags;
use rustix::mount::FsOpenFlags;
use rustix::mount::MountAttrFlags;

/// Attaches `program` to the tracepoint `category`/`name`, on all CPUs and processes.
///
/// # Errors
/// If the tracepoint's number cannot be read, or the kernel refuses the program.
pub fn attach(program: &ProgramMut<'_>, category: &str, name: &str) -> anyhow::Result<Link> {
    let id = look_up(category, name)?;
    // A tracepoint event on one CPU is enough: a program is called on whichever CPU the event happens.
    let event = Builder::new(Tracepoint::with_id(id))
        .any_pid()
        .one_cpu(0)
        .build()
        .with_context(|| format!("cannot open the tracepoint {category}/{name}"))?;
    program
        .attach_perf_event(event.into_raw_fd())
        .with_context(|| format!("cannot attach to the tracepoint {category}/{name}"))
}

/// A tracepoint's number; what cannot be looked up is named.
///
/// # Errors
/// As [`id`].
pub fn look_up(category: &str, name: &str) -> anyhow::Result<u64> {
    id(category, name)
        .with_context(|| format!("cannot read the number of the tracepoint {category}/{name}"))
}

/// A tracepoint's number.
///
/// # Errors
/// If tracefs cannot be read, mounted or not.
pub fn id(category: &str, name: &str) -> anyhow::Result<u64> {
    let file = format!("events/{category}/{name}/id");
    let text = match read_mounted(&file) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => read_unmounted(&file).context(
            "tracefs is not mounted, and cannot be: mount -t tracefs tracefs /sys/kernel/tracing",
        )?,
        Err(err) if err.kind() == io::ErrorKind::PermissionDenied => {
            return Err(err).context(
                "only root may read tracefs: run it as root, or let its group read: \
                 mount -o remount,mode=755,gid=GROUP /sys/kernel/tracing",
            );
        }
        other => other?,
    };
    text.trim().parse().with_context(|| format!("{file} holds '{}'", text.trim()))
}

fn read_mounted(file: &str) -> io::Result<String> {
    let newer = fs::read_to_string(Path::new("/sys/kernel/tracing").join(file));
    match newer {
        Err(err) if err.kind() == io::ErrorKind::NotFound => {
            fs::read_to_string(Path::new("/sys/kernel/debug/tracing").join(file))
        }
        other => other,
    }
}

/// Reads from a tracefs of our own that is mounted nowhere: the host's mounts stay as they are.
fn read_unmounted(file: &str) -> anyhow::Result<String> {
    let context = rustix::mount::fsopen("tracefs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_create(&context)?;
    let root = rustix::mount::fsmount(
        &context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::MOUNT_ATTR_RDONLY,
    )?;
    let id = rustix::fs::openat(&root, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut text = String::new();
    fs::File::from(id).read_to_string(&mut text)?;
    Ok(text)
}

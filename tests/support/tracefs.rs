//! A tracefs that no mount shows: the host's mounts stay as they are.

use std::fs;
use std::os::fd::AsRawFd as _;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::mount::FsMountFlags;
use rustix::mount::FsOpenFlags;
use rustix::mount::MountAttrFlags;

/// A tracefs.
pub struct Tracefs(OwnedFd);

impl Tracefs {
    /// One that is mounted nowhere. Needs root.
    pub fn open() -> Self {
        let context =
            rustix::mount::fsopen("tracefs", FsOpenFlags::FSOPEN_CLOEXEC).expect("tracefs");
        rustix::mount::fsconfig_create(&context).expect("tracefs");
        let flags = FsMountFlags::FSMOUNT_CLOEXEC;
        Self(
            rustix::mount::fsmount(&context, flags, MountAttrFlags::MOUNT_ATTR_RDONLY)
                .expect("tracefs"),
        )
    }

    /// What lies in it.
    pub fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{path}", self.0.as_raw_fd()))
    }

    /// A tracepoint's number.
    pub fn id(&self, tracepoint: &str) -> u64 {
        let text =
            fs::read_to_string(self.path(&format!("events/{tracepoint}/id"))).expect(tracepoint);
        text.trim().parse().expect("a number")
    }
}

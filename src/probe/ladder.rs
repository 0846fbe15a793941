//! A ladder: several ways to learn the same thing, best first. The first rung that this kernel carries is
//! taken; which one, and why not a better one, is told.
//!
//! To add a rung to the accept ladder: its program in bpf/, its number in `enum cl_accept_rung`, its
//! variant in [`AcceptRung`] at the place it deserves in [`AcceptRung::LADDER`].

use libbpf_rs::Link;

use super::skel::ConnledgerProgs;
use super::skel::OpenConnledgerProgs;
use super::skel::types::cl_accept_rung;
use super::tracepoint;

/// How the tracer learns who accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptRung {
    /// The exits of accept and accept4; not reached by io_uring.
    Syscall,
}

impl AcceptRung {
    /// Best first.
    pub const LADDER: [Self; 1] = [Self::Syscall];

    /// As it stands in the `start` record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syscall => "tracepoint/syscalls/sys_exit_accept",
        }
    }

    /// Its number for the kernel side.
    pub(super) const fn number(self) -> u32 {
        match self {
            Self::Syscall => cl_accept_rung::CL_ACCEPT_SYSCALL.0,
        }
    }

    /// Has its programs loaded, and those of the other rungs left out. With `wanted` false, all.
    pub(super) fn select(self, progs: &mut OpenConnledgerProgs<'_>, wanted: bool) {
        let syscall = wanted && self == Self::Syscall;
        progs.sys_exit_accept.set_autoload(syscall);
        progs.sys_exit_accept4.set_autoload(syscall);
    }

    /// Attaches its programs.
    pub(super) fn attach(self, progs: &ConnledgerProgs<'_>) -> anyhow::Result<Vec<Link>> {
        match self {
            Self::Syscall => Ok(vec![
                tracepoint::attach(&progs.sys_exit_accept, "syscalls", "sys_exit_accept")?,
                tracepoint::attach(&progs.sys_exit_accept4, "syscalls", "sys_exit_accept4")?,
            ]),
        }
    }
}

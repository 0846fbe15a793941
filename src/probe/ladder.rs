//! Ladders: several ways to learn the same thing, best first. The first rung that this kernel carries is
//! taken; which one, and why not a better one, is told.
//!
//! To add a rung to the accept ladder: its program in bpf/, its number in `enum cl_accept_rung`, its
//! variant in [`AcceptRung`] at the place it deserves in [`AcceptRung::LADDER`].

use libbpf_rs::Link;

use super::skel::ConnledgerProgs;
use super::skel::OpenConnledgerProgs;
use super::skel::types::cl_accept_rung;
use super::tracepoint::Tracepoints;

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

    /// Whether there are accepts that it does not see, so that the first read or write must tell.
    #[must_use]
    pub const fn misses_some(self) -> bool {
        match self {
            Self::Syscall => true,
        }
    }

    /// Its number for the kernel side.
    pub(super) const fn number(self) -> u32 {
        match self {
            Self::Syscall => cl_accept_rung::CL_ACCEPT_SYSCALL.0,
        }
    }

    /// Has the programs of a rung loaded, or of none, and those of the others left out.
    pub(super) fn select(rung: Option<Self>, progs: &mut OpenConnledgerProgs<'_>) {
        let syscall = rung == Some(Self::Syscall);
        progs.sys_exit_accept.set_autoload(syscall);
        progs.sys_exit_accept4.set_autoload(syscall);
    }

    /// Looks up what it attaches to.
    pub(super) fn look_up(self, tracepoints: &mut Tracepoints) -> anyhow::Result<()> {
        match self {
            Self::Syscall => look_up(tracepoints, ["sys_exit_accept", "sys_exit_accept4"]),
        }
    }

    /// Attaches its programs.
    pub(super) fn attach(
        self,
        progs: &ConnledgerProgs<'_>,
        tracepoints: &mut Tracepoints,
    ) -> anyhow::Result<Vec<Link>> {
        match self {
            Self::Syscall => Ok(vec![
                tracepoints.attach(&progs.sys_exit_accept, "sys_exit_accept")?,
                tracepoints.attach(&progs.sys_exit_accept4, "sys_exit_accept4")?,
            ]),
        }
    }
}

/// How the tracer learns of connects that fail before a SYN, and of errors that only the call returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectRung {
    /// The entry and the exit of connect; not reached by fast open and io_uring.
    Syscall,
}

impl ConnectRung {
    /// As it stands in the `start` record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syscall => "tracepoint/syscalls/sys_exit_connect",
        }
    }

    /// Has the programs of a rung loaded, or of none.
    pub(super) fn select(rung: Option<Self>, progs: &mut OpenConnledgerProgs<'_>) {
        let syscall = rung == Some(Self::Syscall);
        progs.sys_enter_connect.set_autoload(syscall);
        progs.sys_exit_connect.set_autoload(syscall);
    }

    /// Looks up what it attaches to.
    pub(super) fn look_up(self, tracepoints: &mut Tracepoints) -> anyhow::Result<()> {
        match self {
            Self::Syscall => look_up(tracepoints, ["sys_exit_connect", "sys_enter_connect"]),
        }
    }

    /// Attaches its programs.
    pub(super) fn attach(
        self,
        progs: &ConnledgerProgs<'_>,
        tracepoints: &mut Tracepoints,
    ) -> anyhow::Result<Vec<Link>> {
        match self {
            Self::Syscall => Ok(vec![
                tracepoints.attach(&progs.sys_exit_connect, "sys_exit_connect")?,
                tracepoints.attach(&progs.sys_enter_connect, "sys_enter_connect")?,
            ]),
        }
    }
}

/// Looks up tracepoints of system calls.
fn look_up(tracepoints: &mut Tracepoints, names: [&str; 2]) -> anyhow::Result<()> {
    for name in names {
        tracepoints.look_up(name)?;
    }
    Ok(())
}

//! Ladders: several ways to learn the same thing, best first. The first rung that this kernel carries is
//! taken; which one, and why not a better one, is told.
//!
//! To add a rung to the accept ladder: its program in bpf/, its number in `enum cl_accept_rung`, its
//! variant in [`AcceptRung`] at the place it deserves in [`AcceptRung::LADDER`].

use libbpf_rs::Link;
use libbpf_rs::OpenProgramMut;
use libbpf_rs::ProgramMut;

use super::function;
use super::skel::ConnledgerProgs;
use super::skel::OpenConnledgerProgs;
use super::skel::types::cl_accept_rung;
use super::tracepoint::Tracepoints;

/// The kernel's function behind a system call; elsewhere its name, or where its arguments are, is not known.
#[cfg(target_arch = "x86_64")]
macro_rules! function {
    ($before:literal, $call:literal) => {
        concat!($before, "__x64_sys_", $call)
    };
}
#[cfg(target_arch = "aarch64")]
macro_rules! function {
    ($before:literal, $call:literal) => {
        concat!($before, "__arm64_sys_", $call)
    };
}
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
macro_rules! function {
    ($before:literal, $call:literal) => {
        concat!($before, "(unknown)_sys_", $call)
    };
}

const ACCEPT: &str = function!("", "accept");
const ACCEPT4: &str = function!("", "accept4");
const CONNECT: &str = function!("", "connect");

/// How the tracer learns who accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptRung {
    /// The exits of accept and accept4; not reached by io_uring.
    Tracepoint,
    /// The same, of the kernel's functions for them: where there is no perf_event_open(2). The second best, for it does
    /// not see the end of a call that began before it was attached.
    Function,
}

impl AcceptRung {
    /// Best first.
    pub const LADDER: [Self; 2] = [Self::Tracepoint, Self::Function];

    /// As it stands in the `start` record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tracepoint => "tracepoint/syscalls/sys_exit_accept",
            Self::Function => function!("fexit/", "accept"),
        }
    }

    /// Whether there are accepts that it does not see, so that the first read or write must tell.
    #[must_use]
    pub const fn misses_some(self) -> bool {
        match self {
            Self::Tracepoint | Self::Function => true,
        }
    }

    /// Its number for the kernel side.
    pub(super) const fn number(self) -> u32 {
        match self {
            Self::Tracepoint | Self::Function => cl_accept_rung::CL_ACCEPT_SYSCALL.0,
        }
    }

    /// Has the programs of a rung loaded, or of none, and those of the others left out.
    pub(super) fn select(
        rung: Option<Self>,
        progs: &mut OpenConnledgerProgs<'_>,
    ) -> libbpf_rs::Result<()> {
        let tracepoint = rung == Some(Self::Tracepoint);
        progs.sys_exit_accept.set_autoload(tracepoint);
        progs.sys_exit_accept4.set_autoload(tracepoint);
        let function = rung == Some(Self::Function);
        select_for(&mut progs.accept_left, ACCEPT, function)?;
        select_for(&mut progs.accept4_left, ACCEPT4, function)
    }

    /// Looks up what it attaches to.
    pub(super) fn look_up(self, tracepoints: &mut Tracepoints) -> anyhow::Result<()> {
        match self {
            Self::Tracepoint => tracepoints.look_up(&["sys_exit_accept", "sys_exit_accept4"]),
            Self::Function => [ACCEPT, ACCEPT4].into_iter().try_for_each(function::look_up),
        }
    }

    /// Its programs, which must be loaded.
    pub(super) fn programs<'p, 'o>(
        self,
        progs: &'p ConnledgerProgs<'o>,
    ) -> [&'p ProgramMut<'o>; 2] {
        match self {
            Self::Tracepoint => [&progs.sys_exit_accept, &progs.sys_exit_accept4],
            Self::Function => [&progs.accept_left, &progs.accept4_left],
        }
    }

    /// Attaches its programs.
    pub(super) fn attach(
        self,
        progs: &ConnledgerProgs<'_>,
        tracepoints: &mut Tracepoints,
    ) -> anyhow::Result<Vec<Link>> {
        let programs @ [accept, accept4] = self.programs(progs);
        match self {
            Self::Tracepoint => Ok(vec![
                tracepoints.attach(accept, "sys_exit_accept")?,
                tracepoints.attach(accept4, "sys_exit_accept4")?,
            ]),
            Self::Function => attach_functions(programs),
        }
    }
}

/// How the tracer learns of connects that fail before a SYN, and of errors that only the call returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectRung {
    /// The entry and the exit of connect; not reached by fast open and io_uring.
    Tracepoint,
    /// The same, of the kernel's function for it: where there is no perf_event_open(2). The second best, as for accept.
    Function,
}

impl ConnectRung {
    /// Best first.
    pub const LADDER: [Self; 2] = [Self::Tracepoint, Self::Function];

    /// As it stands in the `start` record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tracepoint => "tracepoint/syscalls/sys_exit_connect",
            Self::Function => function!("fexit/", "connect"),
        }
    }

    /// Has the programs of a rung loaded, or of none.
    pub(super) fn select(
        rung: Option<Self>,
        progs: &mut OpenConnledgerProgs<'_>,
    ) -> libbpf_rs::Result<()> {
        let tracepoint = rung == Some(Self::Tracepoint);
        progs.sys_enter_connect.set_autoload(tracepoint);
        progs.sys_exit_connect.set_autoload(tracepoint);
        let function = rung == Some(Self::Function);
        select_for(&mut progs.connect_entered, CONNECT, function)?;
        select_for(&mut progs.connect_left, CONNECT, function)
    }

    /// Looks up what it attaches to.
    pub(super) fn look_up(self, tracepoints: &mut Tracepoints) -> anyhow::Result<()> {
        match self {
            Self::Tracepoint => tracepoints.look_up(&["sys_exit_connect", "sys_enter_connect"]),
            Self::Function => function::look_up(CONNECT),
        }
    }

    /// Its programs, which must be loaded. What tells is attached ahead of what it needs to be told.
    pub(super) fn programs<'p, 'o>(
        self,
        progs: &'p ConnledgerProgs<'o>,
    ) -> [&'p ProgramMut<'o>; 2] {
        match self {
            Self::Tracepoint => [&progs.sys_exit_connect, &progs.sys_enter_connect],
            Self::Function => [&progs.connect_left, &progs.connect_entered],
        }
    }

    /// Attaches its programs.
    pub(super) fn attach(
        self,
        progs: &ConnledgerProgs<'_>,
        tracepoints: &mut Tracepoints,
    ) -> anyhow::Result<Vec<Link>> {
        let programs @ [exit, enter] = self.programs(progs);
        match self {
            Self::Tracepoint => Ok(vec![
                tracepoints.attach(exit, "sys_exit_connect")?,
                tracepoints.attach(enter, "sys_enter_connect")?,
            ]),
            Self::Function => attach_functions(programs),
        }
    }
}

/// Has a program loaded for a function of the kernel, or not at all.
fn select_for(
    program: &mut OpenProgramMut<'_>,
    function: &str,
    wanted: bool,
) -> libbpf_rs::Result<()> {
    program.set_autoload(wanted);
    if wanted { program.set_attach_target(0, Some(function.to_owned())) } else { Ok(()) }
}

fn attach_functions(programs: [&ProgramMut<'_>; 2]) -> anyhow::Result<Vec<Link>> {
    let mut links = Vec::new();
    for program in programs {
        links.push(program.attach_trace()?);
    }
    Ok(links)
}

//! Attaching to the tracepoint of a system call. The kernel wants its number, which is not the same on any two
//! kernels. tracefs tells it, to root. To others the kernel's own list of tracepoints does.

pub mod search;
pub mod tracefs;

use std::os::fd::IntoRawFd as _;

use anyhow::Context as _;
use libbpf_rs::Link;
use libbpf_rs::ProgramMut;
use perf_event::Builder;
use perf_event::events::Tracepoint;

use self::search::Search;

/// Where the numbers come from.
#[derive(Debug, Default)]
pub struct Tracepoints {
    /// Begun when tracefs does not tell.
    search: Option<Search>,
}

impl Tracepoints {
    /// Attaches `program` to the tracepoint syscalls/`name`, on all CPUs and processes.
    ///
    /// # Errors
    /// If the tracepoint's number cannot be learned, or the kernel refuses the program.
    pub fn attach(&mut self, program: &ProgramMut<'_>, name: &str) -> anyhow::Result<Link> {
        let id = self.look_up(name)?;
        // A tracepoint event on one CPU is enough: a program is called on whichever CPU the event happens.
        let event = Builder::new(Tracepoint::with_id(id))
            .any_pid()
            .one_cpu(0)
            .build()
            .with_context(|| format!("cannot open the tracepoint syscalls/{name}"))?;
        program
            .attach_perf_event(event.into_raw_fd())
            .with_context(|| format!("cannot attach to the tracepoint syscalls/{name}"))
    }

    /// The number of the tracepoint syscalls/`name`.
    ///
    /// # Errors
    /// If it cannot be learned: why, and what to do.
    pub fn look_up(&mut self, name: &str) -> anyhow::Result<u64> {
        tracefs::id(name)
            .or_else(|unread| self.search(name).with_context(|| unread.remedy()))
            .with_context(|| format!("cannot learn the number of the tracepoint syscalls/{name}"))
    }

    fn search(&mut self, name: &str) -> anyhow::Result<u64> {
        let search = match self.search.take() {
            Some(search) => search,
            None => Search::begin()?,
        };
        self.search.insert(search).id(name)
    }
}

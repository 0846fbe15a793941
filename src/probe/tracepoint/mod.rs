//! Attaching to the tracepoint of a system call. The kernel wants its number, which is not the same on any two
//! kernels. tracefs tells it, to root. To others the kernel's own list of tracepoints does.

pub mod search;
pub mod tracefs;

use std::fs;
use std::os::fd::IntoRawFd as _;

use anyhow::Context as _;
use libbpf_rs::Link;
use libbpf_rs::ProgramMut;
use perf_event::Builder;
use perf_event::events::Software;
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
        let id = self.id(name)?;
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

    /// Whether these tracepoints are there, and could be opened.
    ///
    /// # Errors
    /// If not: why, and what to do.
    pub fn look_up(&mut self, names: &[&str]) -> anyhow::Result<()> {
        check_permission()?;
        names.iter().try_for_each(|name| self.id(name).map(drop))
    }

    /// The number of the tracepoint syscalls/`name`.
    ///
    /// # Errors
    /// If it cannot be learned: why, and what to do.
    pub fn id(&mut self, name: &str) -> anyhow::Result<u64> {
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

/// Whether this process may open any event.
fn check_permission() -> anyhow::Result<()> {
    let event = Builder::new(Software::DUMMY).observe_self().any_cpu().build();
    let paranoid = || fs::read_to_string("/proc/sys/kernel/perf_event_paranoid");
    event.map(drop).with_context(|| refusal(&paranoid().unwrap_or_default()))
}

/// Why not, by kernel.perf_event_paranoid. Debian's kernels, and those of its children, want CAP_SYS_ADMIN if it is above
/// 2, which it is as they come. Other kernels know no such value.
fn refusal(paranoid: &str) -> &'static str {
    match paranoid.trim().parse::<i32>() {
        Ok(3..) => {
            "the kernel refuses perf_event_open(2), until root says: sysctl kernel.perf_event_paranoid=2"
        }
        _ => {
            "perf_event_open(2) is refused, as a filter of system calls does it; let it through, in the container's seccomp profile or the unit's SystemCallFilter="
        }
    }
}

#[cfg(test)]
mod tests {
    use super::refusal;

    #[test]
    fn a_refusal_of_debians_names_the_command() {
        assert!(refusal("3\n").ends_with(": sysctl kernel.perf_event_paranoid=2"));
        assert!(refusal("4\n").ends_with(": sysctl kernel.perf_event_paranoid=2"));
        for other in ["2\n", "-1\n", ""] {
            assert!(!refusal(other).contains("sysctl"), "{other}");
        }
    }
}

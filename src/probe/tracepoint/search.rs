//! Finding a tracepoint's number in the kernel's own list of them, with no more than tracing itself needs: CAP_BPF and
//! CAP_PERFMON.

use std::fmt;
use std::io::ErrorKind;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd as _;

use anyhow::Context as _;
use anyhow::bail;
use libbpf_rs::ProgramInput;
use libbpf_rs::skel::OpenSkel as _;
use libbpf_rs::skel::SkelBuilder as _;
use perf_event::Builder;
use perf_event::Counter;
use perf_event::events::Tracepoint;

use crate::probe::messages;
use crate::probe::skel::lookup::LookupSkel;
use crate::probe::skel::lookup::LookupSkelBuilder;
use crate::probe::skel::lookup::OpenLookupSkel;
use crate::probe::skel::lookup::types::bss;
use crate::probe::skel::lookup::types::cl_search;
use crate::probe::skel::lookup::types::cl_search_result;

/// The numbers that are tried for a way into the list. Those below belong to ftrace itself: number 1 would trace every
/// function of the kernel. Any other will do: it is opened for this process only, never enabled, and closed again.
const NUMBERS: std::ops::Range<u64> = 32..4096;

/// Runs of the program until the search is given up: for 128 tracepoints each, of which kernels have some 2,500.
const RUNS: usize = 1024;

/// Searches until one is right: the list changes when modules come and go.
const ATTEMPTS: usize = 5;

/// The list, entered.
pub struct Search {
    skel: LookupSkel<'static>,
    event: Counter,
}

impl fmt::Debug for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Search").field("event", &self.event).finish_non_exhaustive()
    }
}

impl Search {
    /// Loads the program that searches, and finds a way into the list.
    ///
    /// # Errors
    /// If the kernel does not take the program, or has no tracepoint that can be opened.
    pub fn begin() -> anyhow::Result<Self> {
        let event = any_tracepoint()?;
        // One object a process, for as long as the process lives: its own borrow need not end.
        let storage = Box::leak(Box::new(MaybeUninit::uninit()));
        let load = |mut open: OpenLookupSkel<'static>| {
            open.progs.do_nothing.set_autoload(false);
            open.load()
        };
        let skel = LookupSkelBuilder::default()
            .open(storage)
            .and_then(load)
            .map_err(messages::explain)
            .context("the kernel does not load the program that searches its tracepoints")?;
        Ok(Self { skel, event })
    }

    /// The number of the tracepoint syscalls/`name`.
    ///
    /// # Errors
    /// If there is none of this name, or the list cannot be followed.
    pub fn id(&mut self, name: &str) -> anyhow::Result<u64> {
        for _ in 0..ATTEMPTS {
            match self.attempt(name)? {
                (cl_search_result::CL_SEARCH_FOUND, id) => return Ok(id.into()),
                (cl_search_result::CL_SEARCH_ABSENT, _) => bail!(
                    "this kernel has no tracepoint syscalls/{name}: it must be built with CONFIG_FTRACE_SYSCALLS=y, \
                     as the distributions' kernels are"
                ),
                _ => {}
            }
        }
        bail!("the kernel's list of tracepoints cannot be followed")
    }

    fn attempt(&mut self, name: &str) -> anyhow::Result<(cl_search_result, u32)> {
        let mut asked =
            cl_search { event_fd: self.event.as_raw_fd().try_into()?, ..cl_search::default() };
        // With a zero at its end.
        if name.len() >= asked.name.len() {
            bail!("'{name}' is too long for a tracepoint");
        }
        for (byte, letter) in asked.name.iter_mut().zip(name.bytes()) {
            *byte = letter.cast_signed();
        }
        self.memory()?.search = asked;
        for _ in 0..RUNS {
            self.skel
                .progs
                .find_tracepoint
                .test_run(ProgramInput::default())
                .context("cannot search the kernel's tracepoints")?;
            let cl_search { result, id, .. } = self.memory()?.search;
            if result != cl_search_result::CL_SEARCH_UNDECIDED {
                return Ok((result, id));
            }
        }
        Ok((cl_search_result::CL_SEARCH_LOST, 0))
    }

    fn memory(&mut self) -> anyhow::Result<&mut bss> {
        self.skel.maps.bss_data.as_deref_mut().context("the search's memory is not mapped")
    }
}

/// Opens some tracepoint for this process.
fn any_tracepoint() -> anyhow::Result<Counter> {
    let mut last = None;
    for number in NUMBERS {
        match Builder::new(Tracepoint::with_id(number)).observe_self().any_cpu().build() {
            // There is none with this number, or it cannot be had for a reason of its own.
            Err(err) if err.kind() != ErrorKind::PermissionDenied => last = Some(err),
            other => return other.context("cannot open a tracepoint"),
        }
    }
    let last = last.unwrap_or_else(|| ErrorKind::NotFound.into());
    Err(last).context("this kernel has no tracepoint that can be opened")
}

//! The kernel's door: loads and attaches the programs of bpf/, drains the ring, reads the counters. The
//! only code that talks to libbpf. What the bytes mean is the wire's business.

mod filters;
mod function;
pub mod ladder;
mod load;
mod messages;
mod outlook;
mod preflight;
pub(crate) mod skel;
pub mod tracepoint;

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::os::fd::AsRawFd as _;
use std::os::fd::BorrowedFd;

use anyhow::Context as _;
use libbpf_rs::Iter;
use libbpf_rs::Link;
use libbpf_rs::MapCore as _;
use libbpf_rs::RingBuffer;
use libbpf_rs::RingBufferBuilder;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::time::Timespec;

use self::ladder::AcceptRung;
use self::ladder::ConnectRung;
use self::load::Climbed;
use self::load::Links;
pub use self::outlook::Outlook;
pub use self::outlook::outlook;
use self::skel::ConnledgerSkel;
use crate::config::Config;
use crate::config::Filters;
use crate::event::Kind;
use crate::host;
use crate::wire::shared::Shared;

/// What the kernel side is to do.
#[derive(Clone, Debug)]
pub struct Settings<'a> {
    /// The kinds of events to send.
    pub events: &'a [Kind],
    /// Which connections.
    pub filters: &'a Filters,
    /// MPTCP's subflows too.
    pub mptcp_subflows: bool,
    /// Size of the ring buffer in bytes: a power of two, and whole pages.
    pub ring_size: u32,
    /// Show what libbpf does.
    pub verbose: bool,
}

impl<'a> Settings<'a> {
    /// What a configuration asks for, of the connections that these filters admit.
    #[must_use]
    pub fn new(config: &'a Config, filters: &'a Filters) -> Self {
        Self {
            events: &config.events,
            filters,
            mptcp_subflows: config.mptcp_subflows,
            ring_size: config.ring_size,
            verbose: config.verbose,
        }
    }

    /// Whether one of these kinds is asked for.
    fn ask_for(&self, kinds: &[Kind]) -> bool {
        kinds.iter().any(|kind| self.events.contains(kind))
    }
}

/// The hooks in use, as the `start` record names them. Absent are those that nothing asked for needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Hooks {
    /// State changes of connections.
    pub state: &'static str,
    /// Why connects fail before there is a SYN; absent also if it cannot be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect: Option<&'static str>,
    /// Who accepts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accept: Option<&'static str>,
    /// Who was the first to read or write what was accepted unseen, attached on demand; absent also if it cannot
    /// be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io: Option<&'static str>,
    /// Segments that are sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retransmit: Option<&'static str>,
    /// Resets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset: Option<&'static str>,
    /// What was there before.
    pub seed: &'static str,
}

/// The loaded and attached kernel side.
pub struct Probe<'cb> {
    // Fields are dropped in this order: the ring and the shared memory before the object they belong to.
    links: Links,
    ring: RingBuffer<'cb>,
    shared: Shared<'static>,
    skel: ConnledgerSkel<'static>,
    hooks: Hooks,
    compromise: Option<String>,
    /// If accepts are told.
    accepts: Option<AcceptRung>,
    connects: Option<ConnectRung>,
    ring_size: u32,
}

impl fmt::Debug for Probe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").field("hooks", &self.hooks).finish_non_exhaustive()
    }
}

impl<'cb> Probe<'cb> {
    /// Loads and attaches everything that `settings` ask for. `on_record` is called by
    /// [`Probe::drain`] for each record in the ring; it must not panic.
    ///
    /// # Errors
    /// If something that was asked for cannot be had: what, why, and what to do about it.
    pub fn attach(
        settings: &Settings<'_>,
        mut on_record: impl FnMut(&[u8]) + 'cb,
    ) -> anyhow::Result<Self> {
        preflight::check()?;
        messages::capture(settings.verbose);
        let Climbed { mut skel, links, plan, compromise } = load::climb(settings)?;

        let mut builder = RingBufferBuilder::new();
        builder.add(&skel.maps.events, move |bytes| {
            on_record(bytes);
            0
        })?;
        let ring_buffer = builder.build().context("cannot map the ring buffer")?;
        let memory = skel.maps.bss_data.take().context("the kernel side's memory is not mapped")?;
        let cpus = host::cpu_numbers()?;
        Ok(Self {
            links,
            ring: ring_buffer,
            shared: Shared::new(memory, cpus),
            skel,
            accepts: plan.accept.filter(|_| settings.events.contains(&Kind::Accept)),
            connects: plan.connect,
            ring_size: settings.ring_size,
            hooks: plan.hooks(),
            compromise,
        })
    }

    /// The hooks in use.
    #[must_use]
    pub fn hooks(&self) -> Hooks {
        self.hooks
    }

    /// Why accepts are not seen in the best way, and what would allow that.
    #[must_use]
    pub fn compromise(&self) -> Option<&str> {
        self.compromise.as_deref()
    }

    /// The memory that both sides map.
    #[must_use]
    pub fn shared(&self) -> &Shared<'static> {
        &self.shared
    }

    /// Becomes readable when the kernel side wakes the consumer; see [`Shared::request_wake`].
    #[must_use]
    pub fn wake_fd(&self) -> BorrowedFd<'_> {
        self.skel.maps.events.as_fd()
    }

    /// Begins to list what is open: each socket gets an owner, so that what happens to it later can be
    /// attributed, and those are told whose beginning was before this.
    ///
    /// # Errors
    /// If the kernel refuses to list the open files.
    pub fn list_open(&self) -> anyhow::Result<Listing> {
        let link = self.skel.progs.list_open.attach().context(LISTING)?;
        let iter = Iter::new(&link).context(LISTING)?;
        // The program prints a byte a record: half a ring of them.
        let step = (self.ring_size as usize / 2 / LARGEST_OPEN).clamp(1, 4096);
        Ok(Listing { iter, _link: link, buffer: vec![0; step] })
    }

    /// Attaches the programs on reads and writes once there is a reason. They run at every read and write of the
    /// host, and are needed only for accepts that are no system calls. Needs no capability any more.
    ///
    /// # Errors
    /// If the kernel refuses. It is not tried again.
    pub fn follow_io(&mut self) -> anyhow::Result<()> {
        if self.shared.wants_io() { self.links.attach_io(&self.skel) } else { Ok(()) }
    }

    /// Follows reads and writes, too, if they are needed to relieve the table of acceptors: half of it is taken.
    pub fn relieve(&self, acceptors: i64) {
        if acceptors > i64::from(self.skel.maps.acceptors.max_entries() / 2) {
            self.shared.want_io();
        }
    }

    /// Hands at most `at_most` records to `on_record`, and says how many it handed over.
    #[must_use]
    pub fn drain(&self, at_most: usize) -> usize {
        // Negative only if a callback says so, and ours never does.
        usize::try_from(self.ring.consume_raw_n(at_most)).unwrap_or(0)
    }

    /// Whether there is nothing in the ring, not even a record that is being written. In doubt there is something.
    #[must_use]
    pub fn is_ring_empty(&self) -> bool {
        let mut ring = [PollFd::from_borrowed_fd(self.wake_fd(), PollFlags::IN)];
        matches!(rustix::event::poll(&mut ring, Some(&Timespec::default())), Ok(0))
    }

    /// How often the kernel skipped the programs on the system calls, because a BPF program was running on
    /// that CPU: each is an accept that was lost, or may be a connect that failed before a SYN. `None` if the
    /// kernel does not say.
    #[must_use]
    pub fn skipped_calls(&self) -> Option<u64> {
        let progs = &self.skel.progs;
        let accepts = self.accepts.map(|rung| rung.programs(progs));
        let connects = self.connects.map(|rung| rung.programs(progs));
        let programs = accepts.into_iter().chain(connects).flatten();
        programs.map(|program| recursion_misses(program.as_fd())).sum()
    }

    /// Detaches every hook. What is in the ring stays there.
    pub fn detach(&mut self) {
        self.links.detach();
    }
}

/// What one connection that is found open takes in the ring: an open, and the description of its process.
const LARGEST_OPEN: usize = 152 + 64;

const LISTING: &str = "cannot list the sockets that are open (iter/task_file)";

/// A listing of what is open, under way.
pub struct Listing {
    iter: Iter,
    _link: Link,
    buffer: Vec<u8>,
}

impl Listing {
    /// Goes on with it, until half the ring may be full: time to drain. False at the end.
    ///
    /// # Errors
    /// If the kernel breaks it off.
    pub fn advance(&mut self) -> anyhow::Result<bool> {
        match self.iter.read(&mut self.buffer) {
            Ok(bytes) => Ok(bytes != 0),
            // The kernel pauses after a million files without output.
            Err(err) if matches!(err.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                Ok(true)
            }
            Err(err) => Err(err).context(LISTING),
        }
    }
}

/// The programs' misses stand in /proc, readable without any capability, unlike through bpf(2).
fn recursion_misses(program: BorrowedFd<'_>) -> Option<u64> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", program.as_raw_fd())).ok()?;
    info.lines().find_map(|line| line.strip_prefix("recursion_misses:"))?.trim().parse().ok()
}

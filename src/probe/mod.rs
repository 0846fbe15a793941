//! The kernel's door: loads and attaches the programs of bpf/, drains the ring, reads the counters. The
//! only code that talks to libbpf. What the bytes mean is the wire's business.

pub mod ladder;
mod messages;
mod preflight;
pub(crate) mod skel;
mod tracepoint;

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::io::Read as _;
use std::mem::MaybeUninit;
use std::os::fd::AsFd as _;
use std::os::fd::AsRawFd as _;
use std::os::fd::BorrowedFd;

use anyhow::Context as _;
use anyhow::anyhow;
use libbpf_rs::Iter;
use libbpf_rs::Link;
use libbpf_rs::MapCore as _;
use libbpf_rs::MapFlags;
use libbpf_rs::RingBuffer;
use libbpf_rs::RingBufferBuilder;
use libbpf_rs::skel::OpenSkel as _;
use libbpf_rs::skel::SkelBuilder as _;

use self::ladder::AcceptRung;
use self::skel::ConnledgerSkel;
use self::skel::ConnledgerSkelBuilder;
use self::skel::OpenConnledgerSkel;
use self::skel::types::cl_accept_rung;
use self::skel::types::cl_config;
use self::skel::types::cl_filter;
use self::skel::types::cl_filter_entry;
use crate::config::Families;
use crate::config::Filters;
use crate::config::NumberList;
use crate::event::Kind;
use crate::wire::shared::Shared;

/// What the kernel side is to do.
#[derive(Clone, Debug)]
pub struct Settings<'a> {
    /// The kinds of events to send.
    pub events: &'a [Kind],
    /// Which connections.
    pub filters: &'a Filters,
    /// Size of the ring buffer in bytes: a power of two, and whole pages.
    pub ring_size: u32,
    /// Show what libbpf does.
    pub verbose: bool,
}

/// The hooks in use, as the `start` record names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Hooks {
    /// State changes of connections.
    pub state: &'static str,
    /// Who accepts; absent if neither accepts nor closes are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accept: Option<&'static str>,
    /// What was there before.
    pub seed: &'static str,
}

/// The loaded and attached kernel side.
pub struct Probe<'cb> {
    // Fields are dropped in this order: the ring and the shared memory before the object they belong to.
    links: Vec<Link>,
    ring: RingBuffer<'cb>,
    shared: Shared<'static>,
    skel: ConnledgerSkel<'static>,
    hooks: Hooks,
    tells_accepts: bool,
}

impl fmt::Debug for Probe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").field("hooks", &self.hooks).finish_non_exhaustive()
    }
}

/// Wakes a dozing consumer when the ring is this full: far from losing, and rare enough to cost nothing.
const WATERMARK_DIVISOR: u32 = 4;

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
        let accepts = [Kind::Accept, Kind::Close].iter().any(|kind| settings.events.contains(kind));
        let (mut skel, mut links, rung) = climb(settings, accepts)?;

        links.push(attach_trace(&skel.progs.tcp_destroy_sock, "tcp_destroy_sock")?);
        links.push(attach_trace(&skel.progs.inet_sock_set_state, "inet_sock_set_state")?);
        // After the first: it must run after it.
        links.push(attach_trace(&skel.progs.inet_sock_set_state_missed, "inet_sock_set_state")?);

        let mut builder = RingBufferBuilder::new();
        builder.add(&skel.maps.events, move |bytes| {
            on_record(bytes);
            0
        })?;
        let ring_buffer = builder.build().context("cannot map the ring buffer")?;
        let memory = skel.maps.bss_data.take().context("the kernel side's memory is not mapped")?;
        let cpus = libbpf_rs::num_possible_cpus().context("cannot count the CPUs")?;
        Ok(Self {
            links,
            ring: ring_buffer,
            shared: Shared::new(memory, cpus),
            skel,
            tells_accepts: settings.events.contains(&Kind::Accept),
            hooks: Hooks {
                state: "tp_btf/inet_sock_set_state",
                accept: accepts.then(|| rung.name()),
                seed: "iter/task_file",
            },
        })
    }

    /// The hooks in use.
    #[must_use]
    pub fn hooks(&self) -> Hooks {
        self.hooks
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

    /// Gives each socket that is open now an owner, so that what happens to it later can be attributed.
    ///
    /// # Errors
    /// If the kernel refuses to list the open files.
    pub fn seed_owners(&self) -> anyhow::Result<()> {
        let what = "cannot list the sockets that are open (iter/task_file)";
        let link = self.skel.progs.seed_owners.attach().context(what)?;
        let mut iter = Iter::new(&link).context(what)?;
        // The program prints nothing: reading runs it over every open file of every task.
        let mut buffer = [0; 64];
        loop {
            match iter.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                // The kernel pauses after a million files without output.
                Err(err)
                    if matches!(err.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(err) => return Err(err).context(what),
            }
        }
    }

    /// Hands at most `at_most` records to `on_record`, and says how many it handed over.
    #[must_use]
    pub fn drain(&self, at_most: usize) -> usize {
        // Negative only if a callback says so, and ours never does.
        usize::try_from(self.ring.consume_raw_n(at_most)).unwrap_or(0)
    }

    /// How often the kernel skipped the programs that learn who accepted, because a BPF program of the
    /// same type was running on that CPU: each is an accept that was lost. `None` if the kernel does not
    /// say.
    #[must_use]
    pub fn skipped_accepts(&self) -> Option<u64> {
        if !self.tells_accepts {
            return Some(0);
        }
        let progs = &self.skel.progs;
        Some(
            recursion_misses(progs.sys_exit_accept.as_fd())?
                + recursion_misses(progs.sys_exit_accept4.as_fd())?,
        )
    }

    /// Detaches every hook. What is in the ring stays there.
    pub fn detach(&mut self) {
        self.links.clear();
    }
}

/// The programs' misses stand in /proc, readable without any capability, unlike through bpf(2).
fn recursion_misses(program: BorrowedFd<'_>) -> Option<u64> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", program.as_raw_fd())).ok()?;
    info.lines().find_map(|line| line.strip_prefix("recursion_misses:"))?.trim().parse().ok()
}

/// Loads the object with the best rung of the accept ladder that attaches.
fn climb(
    settings: &Settings<'_>,
    accepts: bool,
) -> anyhow::Result<(ConnledgerSkel<'static>, Vec<Link>, AcceptRung)> {
    let mut reasons = Vec::new();
    for rung in AcceptRung::LADDER {
        let skel = load(settings, rung, accepts)?;
        if !accepts {
            return Ok((skel, Vec::new(), rung));
        }
        match rung.attach(&skel.progs) {
            Ok(links) => return Ok((skel, links, rung)),
            Err(err) => reasons.push(format!("{}: {err:#}", rung.name())),
        }
    }
    Err(anyhow!("cannot learn who accepts connections: {}", reasons.join("; ")))
}

fn load(
    settings: &Settings<'_>,
    rung: AcceptRung,
    accepts: bool,
) -> anyhow::Result<ConnledgerSkel<'static>> {
    // One object a process, for as long as the process lives: its own borrow need not end.
    let storage = Box::leak(Box::new(MaybeUninit::uninit()));
    let mut open = ConnledgerSkelBuilder::default()
        .open(storage)
        .context("cannot open the kernel side's object")?;
    rung.select(&mut open.progs, accepts);
    configure(&mut open, settings, rung, accepts)?;
    let skel = open.load().map_err(|err| {
        let said = messages::kept();
        anyhow!(err).context(if said.is_empty() {
            "the kernel does not load the programs".to_owned()
        } else {
            format!("the kernel does not load the programs:\n  {said}\n")
        })
    })?;
    fill(&skel.maps.pid_filter, &settings.filters.pids)?;
    fill(&skel.maps.uid_filter, &settings.filters.uids)?;
    Ok(skel)
}

fn configure(
    open: &mut OpenConnledgerSkel<'_>,
    settings: &Settings<'_>,
    rung: AcceptRung,
    accepts: bool,
) -> anyhow::Result<()> {
    let filters = settings.filters;
    open.maps.events.set_max_entries(settings.ring_size)?;
    for (map, list) in
        [(&mut open.maps.pid_filter, &filters.pids), (&mut open.maps.uid_filter, &filters.uids)]
    {
        map.set_max_entries(u32::try_from(list.len().max(1))?)?;
    }
    let rodata =
        open.maps.rodata_data.as_mut().context("the kernel side's configuration is not mapped")?;
    rodata.config = cl_config {
        events: settings.events.iter().map(|&kind| 1 << kind as u32).sum(),
        families: match filters.families {
            Families::Both => 0b11,
            Families::Ipv4 => 0b01,
            Families::Ipv6 => 0b10,
        },
        pids: mode(&filters.pids),
        uids: mode(&filters.uids),
        accept_rung: if accepts { rung.number() } else { cl_accept_rung::CL_ACCEPT_UNUSED.0 },
        watermark: settings.ring_size / WATERMARK_DIVISOR,
    };
    // User space counts generations from 1: nothing has been announced to it yet.
    if let Some(bss) = open.maps.bss_data.as_mut() {
        bss.shared.process_generation = crate::process::FIRST_GENERATION;
    }
    Ok(())
}

fn mode(list: &NumberList) -> u32 {
    if list.is_empty() {
        cl_filter::CL_FILTER_OFF.0
    } else if list.include.is_empty() {
        cl_filter::CL_FILTER_ADMIT_OTHERS.0
    } else {
        cl_filter::CL_FILTER_REFUSE_OTHERS.0
    }
}

fn fill(map: &libbpf_rs::MapMut<'_>, list: &NumberList) -> anyhow::Result<()> {
    let entries = list
        .include
        .iter()
        .map(|number| (number, cl_filter_entry::CL_ENTRY_INCLUDE))
        // An exclusion outweighs an inclusion of the same number: it is written last.
        .chain(list.exclude.iter().map(|number| (number, cl_filter_entry::CL_ENTRY_EXCLUDE)));
    for (number, entry) in entries {
        let value = [u8::try_from(entry.0)?];
        map.update(&number.to_ne_bytes(), &value, MapFlags::ANY).context("cannot set a filter")?;
    }
    Ok(())
}

fn attach_trace(program: &libbpf_rs::ProgramMut<'_>, tracepoint: &str) -> anyhow::Result<Link> {
    program
        .attach_trace()
        .with_context(|| format!("cannot attach to the tracepoint {tracepoint} (tp_btf)"))
}

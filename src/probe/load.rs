//! Loading and attaching: which programs, on which rung of each ladder, with which configuration.

use std::fs;
use std::mem::MaybeUninit;
use std::thread;

use anyhow::Context as _;
use anyhow::anyhow;
use libbpf_rs::Link;
use libbpf_rs::ProgramMut;
use libbpf_rs::btf::Btf;
use libbpf_rs::btf::types::FuncProto;
use libbpf_rs::btf::types::Struct;
use libbpf_rs::btf::types::Typedef;
use libbpf_rs::skel::OpenSkel as _;
use libbpf_rs::skel::SkelBuilder as _;

use super::Hooks;
use super::Settings;
use super::filters;
use super::ladder::AcceptRung;
use super::ladder::ConnectRung;
use super::messages;
use super::skel::ConnledgerSkel;
use super::skel::ConnledgerSkelBuilder;
use super::skel::OpenConnledgerSkel;
use super::skel::types::cl_accept_rung;
use super::skel::types::cl_config;
use super::tracepoint::Tracepoints;
use crate::event::Kind;
use crate::host;
use crate::privileges;
use crate::stderr;

/// Wakes a dozing consumer when the ring is this full: far from losing, and rare enough to cost nothing.
const WATERMARK_DIVISOR: u32 = 4;

/// Room for connections whose beginning was not seen, beside those that are open at start.
const MORE_TOLD: u32 = 16_384;

/// Connections between the handshake and the accept that there is room for, for each CPU and at least: as many
/// as a CPU that does nothing else makes in 70 ms.
const WAITING_PER_CPU: u32 = 1024;
const WAITING_AT_LEAST: u32 = 16_384;

/// What it means if the programs on connect cannot be attached.
const CONNECTS_NOT_TOLD: &str = "connects that fail before a SYN are not told";

/// Which programs a run needs, on which rungs.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each program can be left out by itself")]
pub(super) struct Plan {
    pub(super) connect: Option<ConnectRung>,
    pub(super) accept: Option<AcceptRung>,
    io: bool,
    rings: bool,
    retransmit: bool,
    /// The tracepoint tells of failures, too: by a third argument.
    retransmits_fail: bool,
    /// A RST that comes may be why a connection ends, whether it is told itself or not.
    reset_received: bool,
    reset: bool,
}

impl Plan {
    /// What `settings` ask for, on this rung of the accept ladder and the best one of the connect ladder.
    pub(super) fn new(settings: &Settings<'_>, kernel: &KernelTypes, rung: AcceptRung) -> Self {
        let connects = settings.ask_for(&[Kind::Connect]);
        // Whose a connection is that ends or was retransmitted, an accept has told.
        let accepts = settings.ask_for(&[Kind::Accept, Kind::Close, Kind::Retransmit, Kind::Reset]);
        let io = accepts && rung.misses_some() && kernel.have_tracepoint("sock_recv_length");
        Self {
            connect: connects.then_some(ConnectRung::LADDER[0]),
            accept: accepts.then_some(rung),
            io,
            rings: io && kernel.have_tracepoint("io_uring_create"),
            retransmit: settings.ask_for(&[Kind::Retransmit]),
            retransmits_fail: kernel.arguments_of("tcp_retransmit_skb") >= Some(3),
            reset_received: settings.ask_for(&[Kind::Connect, Kind::Close, Kind::Reset]),
            reset: settings.ask_for(&[Kind::Reset]),
        }
    }

    /// Looks up what the system calls' programs attach to. It does without those on connect if that is not to be had,
    /// and says why.
    ///
    /// # Errors
    /// If what shows accepts cannot be had.
    pub(super) fn look_up(
        &mut self,
        tracepoints: &mut Tracepoints,
    ) -> anyhow::Result<Option<String>> {
        if let Some(rung) = self.accept {
            rung.look_up(tracepoints).with_context(|| rung.name())?;
        }
        if self.connect.is_none() {
            return Ok(None);
        }
        let mut reasons = Vec::new();
        for rung in ConnectRung::LADDER {
            match rung.look_up(tracepoints) {
                Ok(()) => {
                    self.connect = Some(rung);
                    return Ok(None);
                }
                Err(err) => reasons.push(format!("{}: {err:#}", rung.name())),
            }
        }
        self.connect = None;
        Ok(Some(format!("{CONNECTS_NOT_TOLD}: {}", reasons.join("; "))))
    }

    pub(super) fn hooks(self) -> Hooks {
        Hooks {
            state: "tp_btf/inet_sock_set_state",
            connect: self.connect.map(ConnectRung::name),
            accept: self.accept.map(AcceptRung::name),
            io: self.io.then_some("tp_btf/sock_recv_length"),
            retransmit: self.retransmit.then_some("tp_btf/tcp_retransmit_skb"),
            reset: self.reset.then_some("tp_btf/tcp_send_reset"),
            seed: "iter/task_file",
        }
    }
}

/// What is loaded and attached.
pub(super) struct Climbed {
    pub skel: ConnledgerSkel<'static>,
    pub links: Links,
    pub plan: Plan,
    /// Why it is not a better rung, if there is one.
    pub compromise: Option<String>,
}

/// Why accepts are not seen in the best way; `None` if they are.
pub(super) fn compromise(rung: AcceptRung, reasons: &[String]) -> Option<String> {
    let why = || format!("accepts are seen by {}: {}", rung.name(), reasons.join("; "));
    (!reasons.is_empty()).then(why)
}

/// Loads and attaches the best that this kernel carries of what `settings` ask for.
pub(super) fn climb(settings: &Settings<'_>) -> anyhow::Result<Climbed> {
    let kernel = KernelTypes::read();
    let mut tracepoints = Tracepoints::default();
    let mut reasons = Vec::new();
    for rung in AcceptRung::LADDER {
        let mut plan = Plan::new(settings, &kernel, rung);
        let doubt = match plan.look_up(&mut tracepoints) {
            Ok(doubt) => doubt,
            Err(err) => {
                reasons.push(format!("{err:#}"));
                continue;
            }
        };
        let skel = match load(settings, plan) {
            Ok(skel) => skel,
            // There is no better rung: it is not because of this one.
            Err(err) if reasons.is_empty() => return Err(err),
            Err(err) => {
                reasons.push(format!("{}: {err:#}", rung.name()));
                continue;
            }
        };
        // Ahead of all that keeps something about a socket outside of it: what goes must take it along.
        let (destroy, attaches_later) = try_without_capabilities(&skel)?;
        // What sees a connection begin, ahead of what tells of calls that were not seen to begin one.
        let mut links = attach_traces(&skel, plan)?;
        match plan.accept.map(|rung| rung.attach(&skel.progs, &mut tracepoints)).transpose() {
            Ok(more) => links.extend(more.unwrap_or_default()),
            Err(err) => {
                reasons.push(format!("{}: {err:#}", rung.name()));
                continue;
            }
        }
        if let Some(doubt) = doubt {
            warn(&doubt);
        }
        match plan.connect.map(|rung| rung.attach(&skel.progs, &mut tracepoints)).transpose() {
            Ok(more) => links.extend(more.unwrap_or_default()),
            Err(err) => {
                warn(&format!("{CONNECTS_NOT_TOLD}: {err:#}"));
                plan.connect = None;
            }
        }
        // On demand only if a demand would be noticed, and can be met once the capabilities are gone.
        let mut links = Links { destroy: Some(destroy), others: links, awaits_io: plan.io };
        if !attaches_later || (!plan.rings && kernel.have_io_uring()) {
            links.attach_io(&skel)?;
        }
        return Ok(Climbed { skel, links, plan, compromise: compromise(rung, &reasons) });
    }
    Err(anyhow!("cannot learn who accepts connections: {}", reasons.join("; ")))
}

/// What is no reason to see nothing at all, but must not go unsaid; `start` says it, too.
fn warn(text: &str) {
    stderr::say(format_args!("warning: {text}"));
}

/// What this kernel's type information tells of it. Read once: it is some megabytes.
pub(super) struct KernelTypes(Option<Btf<'static>>);

impl KernelTypes {
    pub(super) fn read() -> Self {
        Self(Btf::from_vmlinux().ok())
    }

    /// Whether this kernel has a tracepoint.
    fn have_tracepoint(&self, name: &str) -> bool {
        let name = format!("btf_trace_{name}");
        self.0.as_ref().is_some_and(|types| types.type_by_name::<Typedef<'_>>(&name).is_some())
    }

    /// How many arguments a tracepoint has.
    fn arguments_of(&self, tracepoint: &str) -> Option<usize> {
        let name = format!("btf_trace_{tracepoint}");
        let pointer = self.0.as_ref()?.type_by_name::<Typedef<'_>>(&name)?.next_type()?;
        let function = FuncProto::try_from(pointer.next_type()?).ok()?;
        // The first one is the tracepoint itself.
        function.len().checked_sub(1)
    }

    /// Whether this kernel was built with io_uring.
    fn have_io_uring(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|types| types.type_by_name::<Struct<'_>>("io_ring_ctx").is_some())
    }
}

/// Attaches the first program, and says whether that needs no capability: so it is from Linux 5.19 on, unless a
/// security module has other rules.
fn try_without_capabilities(skel: &ConnledgerSkel<'_>) -> anyhow::Result<(Link, bool)> {
    let attach = || attach_trace(&skel.progs.tcp_destroy_sock, "tcp_destroy_sock");
    match privileges::without(attach)? {
        Ok(link) => Ok((link, true)),
        Err(_) => Ok((attach()?, false)),
    }
}

/// What is attached.
#[derive(Debug)]
pub(super) struct Links {
    /// What looks for ends that were not seen: it must not outlive what sees them.
    destroy: Option<Link>,
    others: Vec<Link>,
    /// The programs on reads and writes are loaded, and wait for a reason to be attached.
    awaits_io: bool,
}

impl Links {
    /// Attaches the programs on reads and writes, if they wait for that. It is not tried twice.
    pub(super) fn attach_io(&mut self, skel: &ConnledgerSkel<'_>) -> anyhow::Result<()> {
        if std::mem::take(&mut self.awaits_io) {
            let send = attach_trace(&skel.progs.sock_send_length, "sock_send_length")?;
            let recv = attach_trace(&skel.progs.sock_recv_length, "sock_recv_length")?;
            self.others.extend([send, recv]);
        }
        Ok(())
    }

    /// Detaches everything. For each link the kernel waits until nobody uses it any more: all at once, so
    /// that it need wait but once.
    pub(super) fn detach(&mut self) {
        drop(self.destroy.take());
        thread::scope(|scope| {
            for link in self.others.drain(..) {
                // Where there is no thread to be had, the link goes with the closure, here.
                let _ = thread::Builder::new().spawn_scoped(scope, move || drop(link));
            }
        });
    }
}

fn attach_trace(program: &ProgramMut<'_>, tracepoint: &str) -> anyhow::Result<Link> {
    program
        .attach_trace()
        .with_context(|| format!("cannot attach to the tracepoint {tracepoint} (tp_btf)"))
}

fn attach_traces(skel: &ConnledgerSkel<'_>, plan: Plan) -> anyhow::Result<Vec<Link>> {
    let progs = &skel.progs;
    let mut links = Vec::new();
    links.push(attach_trace(&progs.inet_sock_set_state, "inet_sock_set_state")?);
    // After the first: it must run after it.
    links.push(attach_trace(&progs.inet_sock_set_state_missed, "inet_sock_set_state")?);
    if plan.rings {
        links.push(attach_trace(&progs.io_uring_create, "io_uring_create")?);
    }
    if plan.retransmit {
        links.push(attach_trace(&progs.tcp_retransmit_skb, "tcp_retransmit_skb")?);
        links.push(attach_trace(&progs.tcp_retransmit_synack, "tcp_retransmit_synack")?);
    }
    if plan.reset {
        links.push(attach_trace(&progs.tcp_send_reset, "tcp_send_reset")?);
    }
    if plan.reset_received {
        links.push(attach_trace(&progs.tcp_receive_reset, "tcp_receive_reset")?);
    }
    Ok(links)
}

fn load(settings: &Settings<'_>, plan: Plan) -> anyhow::Result<ConnledgerSkel<'static>> {
    // One object a process, for as long as the process lives: its own borrow need not end.
    let storage = Box::leak(Box::new(MaybeUninit::uninit()));
    let mut open = ConnledgerSkelBuilder::default()
        .open(storage)
        .context("cannot open the kernel side's object")?;
    select(&mut open, plan)?;
    configure(&mut open, settings, plan)?;
    let skel =
        open.load().map_err(messages::explain).context("the kernel does not load the programs")?;
    filters::fill(settings.filters, &skel.maps)?;
    Ok(skel)
}

/// Leaves out the programs that are not needed, or that this kernel does not know.
fn select(open: &mut OpenConnledgerSkel<'_>, plan: Plan) -> libbpf_rs::Result<()> {
    let progs = &mut open.progs;
    AcceptRung::select(plan.accept, progs)?;
    ConnectRung::select(plan.connect, progs)?;
    progs.sock_send_length.set_autoload(plan.io);
    progs.sock_recv_length.set_autoload(plan.io);
    progs.io_uring_create.set_autoload(plan.rings);
    progs.tcp_retransmit_skb.set_autoload(plan.retransmit);
    progs.tcp_retransmit_synack.set_autoload(plan.retransmit);
    progs.tcp_send_reset.set_autoload(plan.reset);
    progs.tcp_receive_reset.set_autoload(plan.reset_received);
    Ok(())
}

fn configure(
    open: &mut OpenConnledgerSkel<'_>,
    settings: &Settings<'_>,
    plan: Plan,
) -> anyhow::Result<()> {
    open.maps.events.set_max_entries(settings.ring_size)?;
    let waiting = host::online_cpus().saturating_mul(WAITING_PER_CPU).max(WAITING_AT_LEAST);
    open.maps.accept_queue.set_max_entries(waiting)?;
    open.maps.acceptors.set_max_entries(waiting)?;
    open.maps.told.set_max_entries(open_sockets().saturating_add(MORE_TOLD))?;
    let mut config = cl_config {
        events: settings.events.iter().map(|&kind| 1 << kind as u32).sum(),
        subflows: u32::from(settings.mptcp_subflows),
        accept_rung: plan.accept.map_or(cl_accept_rung::CL_ACCEPT_UNUSED.0, AcceptRung::number),
        retransmits_fail: plan.retransmits_fail.into(),
        watermark: settings.ring_size / WATERMARK_DIVISOR,
        ..cl_config::default()
    };
    filters::configure(settings.filters, &mut open.maps, &mut config)?;
    if let Some(rodata) = open.maps.rodata_data.as_mut() {
        rodata.config = config;
    }
    if let Some(bss) = open.maps.bss_data.as_mut() {
        // User space counts generations from 1: nothing has been announced to it yet.
        bss.shared.process_generation = crate::process::FIRST_GENERATION;
        bss.shared.listing = 1;
    }
    Ok(())
}

/// The TCP sockets of the whole host, of every network namespace; 0 if the kernel does not say.
fn open_sockets() -> u32 {
    let text = fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("TCP:"))
        .and_then(|line| line.split_whitespace().skip_while(|word| *word != "alloc").nth(1))
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

//! The events of connections, and of sockets that listen.

use serde::Deserialize;

use super::Fields;
use super::Verdict;
use super::header::Header;
use super::number::Count;
use super::number::Number;
use super::number::True;
use super::object::Object;
use super::text::CgroupId;
use super::text::ConnId;
use super::text::Errno;
use super::text::Ip;
use super::text::Name;
use super::text::NameHex;
use super::text::ProcessId;
use super::text::Text;
use super::time::Time;

/// An enumeration of words; one that is not among them may come with a newer minor.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($word:ident),* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($word,)* #[serde(other)] Unknown }
        impl $name {
            /// Refuses what is not known, if that is wanted.
            pub(super) fn known(self, strict: bool, complaint: &'static str) -> $crate::verify::record::Verdict {
                if strict && self == Self::Unknown { Err(complaint) } else { Ok(()) }
            }
        }
    )*};
}
pub(super) use words;

words! {
    Outcome { Established, Refused, TimedOut, Unreachable, Reset, Aborted, Failed }
    Protocol { Tcp, Mptcp }
    Family { Ipv4, Ipv6 }
    Attribution { Accept, Listener, Holder, Io }
    Side { Local, Remote }
    ClosedBy { Local, Remote, LocalReset, RemoteReset, Timeout }
    Action { Begin, End }
    Direction { Sent, Received }
    OpenState { Established, FinWait1, FinWait2, CloseWait, LastAck, Closing, Listen }
    State {
        Established, SynSent, SynRecv, FinWait1, FinWait2, TimeWait, Close, CloseWait, LastAck, Listen, Closing
    }
}

/// This host's end.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "checked, and not needed further")]
pub struct LocalEnd {
    ip: Text<Ip>,
    scope_id: Option<Number<1, { u32::MAX as u64 }>>,
    port: Option<Number<1, { u16::MAX as u64 }>>,
}

/// The peer's end.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "checked, and not needed further")]
pub struct RemoteEnd {
    ip: Text<Ip>,
    scope_id: Option<Number<1, { u32::MAX as u64 }>>,
    port: u16,
}

/// A process.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "checked, and not needed further")]
pub struct Process {
    id: Text<ProcessId>,
    pid: u32,
    tid: u32,
    ppid: Option<u32>,
    comm: Text<Name>,
    comm_hex: Option<Text<NameHex>>,
    parent_comm: Option<Text<Name>>,
    parent_comm_hex: Option<Text<NameHex>>,
    uid: u32,
    gid: u32,
    start: Option<Time>,
}

/// What every event has, as far as its checks need it.
#[expect(clippy::struct_excessive_bools, reason = "whether a field is there")]
struct Socket<'a> {
    protocol: Protocol,
    family: Family,
    v4_mapped: bool,
    local: bool,
    remote: bool,
    netns: bool,
    process: Option<&'a Process>,
    attributed_to: Option<Attribution>,
    cgroup_id: bool,
}

/// Kinds of events: what each has besides what every event has.
macro_rules! events {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code, reason = "checked, and not needed further")]
        pub struct $name {
            $($field: $type,)*
            conn: Option<Text<ConnId>>,
            protocol: Protocol,
            family: Family,
            v4_mapped: Option<True>,
            local: Option<Object<LocalEnd>>,
            remote: Option<Object<RemoteEnd>>,
            netns: Option<u32>,
            process: Option<Object<Process>>,
            attributed_to: Option<Attribution>,
            cgroup_id: Option<Text<CgroupId>>,
        }

        impl $name {
            fn socket(&self) -> Socket<'_> {
                Socket {
                    protocol: self.protocol,
                    family: self.family,
                    v4_mapped: self.v4_mapped.is_some(),
                    local: self.local.is_some(),
                    remote: self.remote.is_some(),
                    netns: self.netns.is_some(),
                    process: self.process.as_ref().map(|process| &process.0),
                    attributed_to: self.attributed_to,
                    cgroup_id: self.cgroup_id.is_some(),
                }
            }
        }
    )*};
}

events! {
    Connect {
        outcome: Outcome,
        errno: Option<Text<Errno>>,
        latency_us: Option<Count>,
        mptcp_subflow: Option<True>,
    }
    Accept {
        wait_us: Option<Count>,
    }
    Close {
        duration_us: Option<Count>,
        bytes_sent: Option<Count>,
        bytes_received: Option<Count>,
        segments_sent: Option<u32>,
        segments_received: Option<u32>,
        retransmits: Option<u32>,
        rtt_us: Option<Number<0, { u32::MAX as u64 >> 3 }>>,
        opened_by: Option<Side>,
        closed_by: Option<ClosedBy>,
        errno: Option<Text<Errno>>,
        mptcp_subflow: Option<True>,
    }
    Open {
        state: OpenState,
        mptcp_subflow: Option<True>,
    }
    Listen {
        action: Action,
        backlog: Option<u32>,
    }
    Retransmit {
        state: State,
        mptcp_subflow: Option<True>,
    }
    Reset {
        direction: Direction,
        state: Option<State>,
        mptcp_subflow: Option<True>,
    }
}

/// What must hold, or this is the complaint.
fn ensure(holds: bool, complaint: &'static str) -> Verdict {
    if holds { Ok(()) } else { Err(complaint) }
}

impl Socket<'_> {
    fn check(&self, strict: bool) -> Verdict {
        self.protocol.known(strict, "protocol is neither tcp nor mptcp")?;
        self.family.known(strict, "family is neither ipv4 nor ipv6")?;
        if let Some(attribution) = self.attributed_to {
            attribution.known(strict, "attributed_to is none of accept, listener, holder, io")?;
        }
        ensure(!self.v4_mapped || self.family == Family::Ipv4, "v4_mapped, and not ipv4")?;
        let Some(process) = self.process else {
            ensure(self.attributed_to.is_none(), "attributed_to without process")?;
            return ensure(!self.cgroup_id, "cgroup_id without process");
        };
        let parent = process.parent_comm.is_some();
        ensure(
            process.ppid.is_some() == parent && process.start.is_some() == parent,
            "of a process's ppid, parent_comm and start one is missing",
        )?;
        ensure(
            parent || process.parent_comm_hex.is_none(),
            "a process's parent_comm_hex without parent_comm",
        )
    }

    fn check_subflow(&self, subflow: Option<&True>) -> Verdict {
        ensure(subflow.is_none() || self.protocol == Protocol::Tcp, "mptcp_subflow, and not tcp")
    }

    /// What was established has both ends.
    fn has_both_ends(&self) -> Verdict {
        ensure(self.local, "local is missing")?;
        ensure(self.remote, "remote is missing")
    }

    fn has_netns(&self) -> Verdict {
        ensure(self.netns, "netns is missing")
    }
}

impl Fields<'_> for Connect {
    fn check(&self, _: &Header<'_>, strict: bool) -> Verdict {
        self.outcome.known(strict, "outcome is none of those that there are")?;
        let socket = self.socket();
        socket.check(strict)?;
        socket.check_subflow(self.mptcp_subflow.as_ref())?;
        socket.has_netns()?;
        match self.outcome {
            Outcome::Established => {
                socket.has_both_ends()?;
                ensure(self.errno.is_none(), "established, with an errno")
            }
            Outcome::Aborted | Outcome::Unknown => Ok(()),
            _ => ensure(self.errno.is_some(), "the connect failed, without an errno"),
        }
    }
}

impl Fields<'_> for Accept {
    fn check(&self, _: &Header<'_>, strict: bool) -> Verdict {
        let socket = self.socket();
        socket.check(strict)?;
        socket.has_both_ends()?;
        socket.has_netns()
    }
}

impl Fields<'_> for Close {
    fn check(&self, _: &Header<'_>, strict: bool) -> Verdict {
        if let Some(side) = self.opened_by {
            side.known(strict, "opened_by is neither local nor remote")?;
        }
        if let Some(closed_by) = self.closed_by {
            closed_by.known(strict, "closed_by is none of those that there are")?;
        }
        let socket = self.socket();
        socket.check(strict)?;
        socket.check_subflow(self.mptcp_subflow.as_ref())?;
        socket.has_both_ends()?;
        socket.has_netns()?;
        let (bytes, segments) = (self.bytes_sent.is_some(), self.segments_sent.is_some());
        ensure(
            self.bytes_received.is_some() == bytes,
            "of bytes_sent and bytes_received one is missing",
        )?;
        ensure(
            self.segments_received.is_some() == segments && self.retransmits.is_some() == segments,
            "of segments_sent, segments_received and retransmits one is missing",
        )?;
        ensure(segments || self.rtt_us.is_none(), "rtt_us without retransmits")?;
        ensure(
            bytes && segments || socket.protocol != Protocol::Tcp,
            "tcp, without bytes_sent or segments_sent",
        )
    }
}

impl Fields<'_> for Open {
    fn check(&self, _: &Header<'_>, strict: bool) -> Verdict {
        self.state.known(strict, "state is none in which an open socket can be")?;
        let socket = self.socket();
        socket.check(strict)?;
        socket.check_subflow(self.mptcp_subflow.as_ref())?;
        socket.has_netns()?;
        if self.state == OpenState::Listen {
            ensure(!socket.remote, "a listener, with a remote")?;
            return ensure(socket.local, "local is missing");
        }
        socket.has_both_ends()
    }
}

impl Fields<'_> for Listen {
    fn check(&self, _: &Header<'_>, strict: bool) -> Verdict {
        self.action.known(strict, "action is neither begin nor end")?;
        let socket = self.socket();
        socket.check(strict)?;
        socket.has_netns()?;
        ensure(socket.local, "local is missing")?;
        ensure(!socket.remote, "a listener, with a remote")?;
        ensure(self.backlog.is_some() || socket.protocol != Protocol::Tcp, "tcp, without a backlog")
    }
}

impl Fields<'_> for Retransmit {
    fn check(&self, _: &Header<'_>, strict: bool) -> Verdict {
        self.state.known(strict, "state is none of TCP's")?;
        let socket = self.socket();
        socket.check(strict)?;
        socket.check_subflow(self.mptcp_subflow.as_ref())?;
        socket.has_both_ends()?;
        socket.has_netns()
    }
}

impl Fields<'_> for Reset {
    fn check(&self, _: &Header<'_>, strict: bool) -> Verdict {
        self.direction.known(strict, "direction is neither sent nor received")?;
        if let Some(state) = self.state {
            state.known(strict, "state is none of TCP's")?;
        }
        let socket = self.socket();
        socket.check(strict)?;
        socket.check_subflow(self.mptcp_subflow.as_ref())?;
        ensure(
            self.state.is_some() || self.direction != Direction::Received,
            "received, without the state of the socket",
        )?;
        ensure(self.state.is_none() || socket.netns, "netns is missing")
    }
}

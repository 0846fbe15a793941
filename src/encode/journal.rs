//! Fields of the systemd journal's native protocol: one datagram an entry.
//!
//! A field for each value of the record, named by its path in the schema: `remote.ip` is CONNLEDGER_REMOTE_IP. An object
//! is flattened, a list is the text that it is in JSON, `true` is the word. Beside them the journal's own: a MESSAGE
//! to read, its PRIORITY, and the MESSAGE_ID by which packaging/journald/connledger.catalog explains it. The journal's
//! trusted fields, whose names begin with `_`, cannot be set; its time is the arrival, so that the event's is a field.

mod fields;
mod kinds;
mod message;
mod own;

use self::fields::field;
use self::fields::push_count;
use self::fields::push_name;
use self::fields::push_number;
use self::fields::push_value;
use self::fields::push_word;
use self::kinds::message_id;
use self::kinds::priority;
use self::own::push_own;
use super::Encoder;
use super::SCHEMA_VERSION;
use super::ip::write_ip;
use super::json::push_text;
use super::number::push_hex_u64;
use super::number::push_u64;
use super::time::TimeWriter;
use super::words::push_errno;
use crate::event::Action;
use crate::event::Attribution;
use crate::event::Close;
use crate::event::Conn;
use crate::event::Endpoint;
use crate::event::Event;
use crate::event::Outcome;
use crate::event::Owner;
use crate::event::Protocol;
use crate::event::Side;
use crate::host::Identity;
use crate::ledger::Body;
use crate::ledger::Entry;

/// The encoder. What is the same in every entry is ready-made.
#[derive(Debug)]
pub struct Journal {
    /// From the identifier to the host, up to `CONNLEDGER_SEQ=`.
    prefix: Vec<u8>,
    /// What names the output, in the records that tell of outputs.
    output: Vec<u8>,
    boot: String,
    time: TimeWriter,
    start: TimeWriter,
}

impl Journal {
    /// An encoder for the records of one run, to the output that is called so.
    #[must_use]
    pub fn new(identity: &Identity, output: &str) -> Self {
        let mut prefix = b"SYSLOG_IDENTIFIER=connledger\n".to_vec();
        push_word(&mut prefix, field!("SCHEMA"), SCHEMA_VERSION);
        push_word(&mut prefix, field!("RUN"), &identity.run);
        push_value(&mut prefix, field!("HOST"), &identity.host);
        push_text(&mut prefix, field!("SEQ"));
        let mut name = Vec::new();
        push_value(&mut name, field!("OUTPUT"), output);
        Self {
            prefix,
            output: name,
            boot: identity.short_boot_id().to_owned(),
            time: TimeWriter::default(),
            start: TimeWriter::default(),
        }
    }

    /// What every entry has.
    fn common(&mut self, out: &mut Vec<u8>, entry: &Entry, event: &str) {
        out.extend_from_slice(&self.prefix);
        push_count(out, "", entry.seq);
        push_text(out, field!("TIME"));
        self.time.write(out, entry.time_unix_ns);
        out.push(b'\n');
        push_word(out, field!("EVENT"), event);
        push_word(out, "MESSAGE_ID=", message_id(&entry.body));
        push_number(out, "PRIORITY=", priority(&entry.body));
        push_text(out, "MESSAGE=");
        message::write(out, &entry.body);
        out.push(b'\n');
    }

    fn event(&mut self, out: &mut Vec<u8>, event: &Event) {
        match &event.action {
            Action::Connect { outcome, errno, latency_ns } => {
                push_word(out, field!("OUTCOME"), outcome.name());
                if *outcome != Outcome::Established {
                    error(out, *errno);
                }
                micros(out, field!("LATENCY_US"), *latency_ns);
            }
            Action::Accept { wait_ns } => micros(out, field!("WAIT_US"), *wait_ns),
            Action::Close(close) => closed(out, close, &event.conn),
            Action::Open { state } | Action::Retransmit { state } => {
                push_word(out, field!("STATE"), state.name());
            }
            Action::Listen { begins, backlog } => {
                push_word(out, field!("ACTION"), if *begins { "begin" } else { "end" });
                if let Some(backlog) = backlog {
                    push_number(out, field!("BACKLOG"), (*backlog).into());
                }
            }
            Action::Reset { by, state } => {
                let direction = match by {
                    Side::Local => "sent",
                    Side::Remote => "received",
                };
                push_word(out, field!("DIRECTION"), direction);
                if let Some(state) = state {
                    push_word(out, field!("STATE"), state.name());
                }
            }
        }
        self.conn(out, &event.conn);
        if let Some(owner) = &event.owner {
            self.owner(out, owner);
        }
    }

    fn conn(&self, out: &mut Vec<u8>, conn: &Conn) {
        if let Some(cookie) = conn.cookie {
            push_text(out, field!("CONN"));
            push_text(out, &self.boot);
            out.push(b'-');
            push_hex_u64(out, cookie);
            if conn.generation != 0 {
                out.push(b'.');
                push_u64(out, conn.generation.into());
            }
            out.push(b'\n');
        }
        let protocol = if conn.protocol == Protocol::Mptcp { "mptcp" } else { "tcp" };
        push_word(out, field!("PROTOCOL"), protocol);
        if conn.protocol == Protocol::MptcpSubflow {
            push_word(out, field!("MPTCP_SUBFLOW"), "true");
        }
        push_word(out, field!("FAMILY"), if conn.is_ipv6 { "ipv6" } else { "ipv4" });
        if conn.v4_mapped {
            push_word(out, field!("V4_MAPPED"), "true");
        }
        if let Some(local) = &conn.local {
            endpoint(out, [field!("LOCAL_IP"), field!("LOCAL_SCOPE_ID")], local);
            // Port 0 of this end means that it got none; that of the peer can be what was asked for.
            if local.port != 0 {
                push_number(out, field!("LOCAL_PORT"), local.port.into());
            }
        }
        if let Some(remote) = &conn.remote {
            endpoint(out, [field!("REMOTE_IP"), field!("REMOTE_SCOPE_ID")], remote);
            push_number(out, field!("REMOTE_PORT"), remote.port.into());
        }
        if let Some(netns) = conn.netns {
            push_number(out, field!("NETNS"), netns.into());
        }
    }

    fn owner(&mut self, out: &mut Vec<u8>, owner: &Owner) {
        push_text(out, field!("PROCESS_ID"));
        push_text(out, &self.boot);
        out.push(b'-');
        push_u64(out, owner.image.pid.into());
        out.push(b'-');
        push_hex_u64(out, owner.image.start_ns);
        out.push(b'\n');
        push_number(out, field!("PROCESS_PID"), owner.image.pid.into());
        push_number(out, field!("PROCESS_TID"), owner.tid.into());
        let comm = owner.comm.as_bytes();
        push_name(out, field!("PROCESS_COMM"), field!("PROCESS_COMM_HEX"), comm);
        push_number(out, field!("PROCESS_UID"), owner.uid.into());
        push_number(out, field!("PROCESS_GID"), owner.gid.into());
        if let Some(image) = &owner.details {
            push_number(out, field!("PROCESS_PPID"), image.ppid.into());
            let parent = image.parent_comm.as_bytes();
            let hex = field!("PROCESS_PARENT_COMM_HEX");
            push_name(out, field!("PROCESS_PARENT_COMM"), hex, parent);
            push_text(out, field!("PROCESS_START"));
            self.start.write(out, image.started_unix_ns);
            out.push(b'\n');
        }
        if owner.attribution != Attribution::Connect {
            push_word(out, field!("ATTRIBUTED_TO"), owner.attribution.name());
        }
        if owner.cgroup_id != 0 {
            push_number(out, field!("CGROUP_ID"), owner.cgroup_id);
        }
    }
}

impl Encoder for Journal {
    fn encode(&mut self, entry: &Entry, out: &mut Vec<u8>) {
        match &entry.body {
            Body::Event(event) => {
                self.common(out, entry, event.action.kind().name());
                self.event(out, event);
            }
            Body::Loss(loss) => {
                self.common(out, entry, "loss");
                push_own(out, loss);
            }
            Body::Start(start) => {
                self.common(out, entry, "start");
                out.extend_from_slice(&self.output);
                push_own(out, start);
            }
            Body::Ready => self.common(out, entry, "ready"),
            Body::Heartbeat(figures) => {
                self.common(out, entry, "heartbeat");
                out.extend_from_slice(&self.output);
                push_own(out, figures);
            }
            Body::Stop(stop) => {
                self.common(out, entry, "stop");
                out.extend_from_slice(&self.output);
                push_own(out, stop);
            }
        }
    }
}

fn closed(out: &mut Vec<u8>, close: &Close, conn: &Conn) {
    micros(out, field!("DURATION_US"), close.duration_ns);
    if let Some(bytes) = close.bytes {
        push_count(out, field!("BYTES_SENT"), bytes.sent);
        push_count(out, field!("BYTES_RECEIVED"), bytes.received);
    }
    if let Some(segments) = close.segments {
        push_number(out, field!("SEGMENTS_SENT"), segments.sent.into());
        push_number(out, field!("SEGMENTS_RECEIVED"), segments.received.into());
        push_number(out, field!("RETRANSMITS"), segments.retransmits.into());
        if let Some(rtt_us) = segments.rtt_us {
            push_number(out, field!("RTT_US"), rtt_us.into());
        }
    }
    if let Some(side) = conn.opened_by {
        push_word(out, field!("OPENED_BY"), side.name());
    }
    if let Some(closed_by) = close.closed_by {
        push_word(out, field!("CLOSED_BY"), closed_by.name());
    }
    error(out, close.errno);
}

fn endpoint(out: &mut Vec<u8>, [ip, scope_id]: [&str; 2], endpoint: &Endpoint) {
    push_text(out, ip);
    write_ip(out, endpoint.ip);
    out.push(b'\n');
    if endpoint.scope_id != 0 {
        push_number(out, scope_id, endpoint.scope_id.into());
    }
}

fn micros(out: &mut Vec<u8>, field: &str, ns: Option<u64>) {
    if let Some(ns) = ns {
        push_count(out, field, ns / 1000);
    }
}

/// The name of an error; absent if there is none.
fn error(out: &mut Vec<u8>, number: u32) {
    if number != 0 {
        push_text(out, field!("ERRNO"));
        push_errno(out, number);
        out.push(b'\n');
    }
}

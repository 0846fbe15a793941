//! NDJSON: one object a line, as schema/connledger-1.schema.json describes it.
//!
//! The order of the fields is fixed: what every record has, then what the event is, then the connection,
//! then the process. Events are written by hand into one buffer; the ledger's own records, which are
//! rare, go through serde.

use serde::Serialize;

use super::Encoder;
use super::ip::write_ip;
use super::json::LogFormatter;
use super::json::push_count;
use super::json::push_escaped;
use super::json::push_hex_u64;
use super::json::push_key;
use super::json::push_name_field;
use super::json::push_number_field;
use super::json::push_u64;
use super::json::push_word_field;
use super::time::TimeWriter;
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
use crate::event::errno;
use crate::host::Identity;
use crate::ledger::Body;
use crate::ledger::Entry;

/// Name and version of the schema, as they stand in every record.
pub const SCHEMA_VERSION: &str = "connledger/1.0";

/// The encoder.
#[derive(Debug)]
pub struct Ndjson {
    /// `{"schema":"…","run":"…","seq":`
    prefix: Vec<u8>,
    /// `","host":"…","event":"`: what stands between the time and the event.
    after_time: Vec<u8>,
    short_boot_id: String,
    event_time: TimeWriter,
    process_time: TimeWriter,
}

impl Ndjson {
    /// An encoder for the records of one run.
    #[must_use]
    pub fn new(identity: &Identity) -> Self {
        let mut prefix = Vec::new();
        prefix.extend_from_slice(b"{\"schema\":\"");
        prefix.extend_from_slice(SCHEMA_VERSION.as_bytes());
        prefix.extend_from_slice(b"\",\"run\":\"");
        prefix.extend_from_slice(identity.run.as_bytes());
        prefix.extend_from_slice(b"\",\"seq\":");
        let mut after_time = b"\",\"host\":\"".to_vec();
        push_escaped(&mut after_time, identity.host.as_bytes());
        after_time.extend_from_slice(b"\",\"event\":\"");
        Self {
            prefix,
            after_time,
            short_boot_id: identity.short_boot_id().to_owned(),
            event_time: TimeWriter::default(),
            process_time: TimeWriter::default(),
        }
    }

    fn common(&mut self, out: &mut Vec<u8>, entry: &Entry, event: &str) {
        out.extend_from_slice(&self.prefix);
        push_count(out, entry.seq);
        out.extend_from_slice(b",\"time\":\"");
        self.event_time.write(out, entry.time_unix_ns);
        out.extend_from_slice(&self.after_time);
        out.extend_from_slice(event.as_bytes());
        out.push(b'"');
    }

    fn event(&mut self, out: &mut Vec<u8>, event: &Event) {
        match &event.action {
            Action::Connect { outcome, errno, latency_ns } => {
                push_word_field(out, "outcome", outcome.name());
                if *outcome != Outcome::Established {
                    errno_field(out, *errno);
                }
                micros_field(out, "latency_us", *latency_ns);
            }
            Action::Accept { wait_ns } => micros_field(out, "wait_us", *wait_ns),
            Action::Close(close) => close_fields(out, close, &event.conn),
            Action::Open { state } | Action::Retransmit { state } => {
                push_word_field(out, "state", state.name());
            }
            Action::Listen { begins, backlog } => {
                push_word_field(out, "action", if *begins { "begin" } else { "end" });
                if let Some(backlog) = backlog {
                    push_number_field(out, "backlog", (*backlog).into());
                }
            }
            Action::Reset { by, state } => {
                let direction = match by {
                    Side::Local => "sent",
                    Side::Remote => "received",
                };
                push_word_field(out, "direction", direction);
                if let Some(state) = state {
                    push_word_field(out, "state", state.name());
                }
            }
        }
        self.conn(out, &event.conn);
        if let Some(owner) = &event.owner {
            self.process(out, owner);
            // Who connects is the caller, always; of the others it must be told.
            if owner.attribution != Attribution::Connect {
                push_word_field(out, "attributed_to", owner.attribution.name());
            }
            if owner.cgroup_id != 0 {
                push_key(out, "cgroup_id");
                out.push(b'"');
                push_u64(out, owner.cgroup_id);
                out.push(b'"');
            }
        }
    }

    fn conn(&self, out: &mut Vec<u8>, conn: &Conn) {
        if let Some(cookie) = conn.cookie {
            push_key(out, "conn");
            out.push(b'"');
            out.extend_from_slice(self.short_boot_id.as_bytes());
            out.push(b'-');
            push_hex_u64(out, cookie);
            if conn.generation != 0 {
                out.push(b'.');
                push_u64(out, conn.generation.into());
            }
            out.push(b'"');
        }
        let protocol = if conn.protocol == Protocol::Mptcp { "mptcp" } else { "tcp" };
        push_word_field(out, "protocol", protocol);
        if conn.protocol == Protocol::MptcpSubflow {
            true_field(out, "mptcp_subflow");
        }
        push_word_field(out, "family", if conn.is_ipv6 { "ipv6" } else { "ipv4" });
        if conn.v4_mapped {
            true_field(out, "v4_mapped");
        }
        if let Some(local) = &conn.local {
            // Port 0 of this end means that it got none; that of the peer can be what was asked for.
            endpoint(out, "local", local, Some(local.port).filter(|&port| port != 0));
        }
        if let Some(remote) = &conn.remote {
            endpoint(out, "remote", remote, Some(remote.port));
        }
        if let Some(netns) = conn.netns {
            push_number_field(out, "netns", netns.into());
        }
    }

    fn process(&mut self, out: &mut Vec<u8>, owner: &Owner) {
        push_key(out, "process");
        out.extend_from_slice(b"{\"id\":\"");
        out.extend_from_slice(self.short_boot_id.as_bytes());
        out.push(b'-');
        push_u64(out, owner.image.pid.into());
        out.push(b'-');
        push_hex_u64(out, owner.image.start_ns);
        out.push(b'"');
        push_number_field(out, "pid", owner.image.pid.into());
        push_number_field(out, "tid", owner.tid.into());
        if let Some(image) = &owner.details {
            push_number_field(out, "ppid", image.ppid.into());
        }
        push_name_field(out, "comm", owner.comm.as_bytes());
        if let Some(image) = &owner.details {
            push_name_field(out, "parent_comm", image.parent_comm.as_bytes());
        }
        push_number_field(out, "uid", owner.uid.into());
        push_number_field(out, "gid", owner.gid.into());
        if let Some(image) = &owner.details {
            push_key(out, "start");
            out.push(b'"');
            self.process_time.write(out, image.started_unix_ns);
            out.push(b'"');
        }
        out.push(b'}');
    }
}

impl Encoder for Ndjson {
    fn encode(&mut self, entry: &Entry, out: &mut Vec<u8>) {
        match &entry.body {
            Body::Event(event) => {
                self.common(out, entry, event.action.kind().name());
                self.event(out, event);
            }
            Body::Loss(loss) => {
                self.common(out, entry, "loss");
                own_fields(out, loss);
            }
            Body::Start(start) => {
                self.common(out, entry, "start");
                own_fields(out, start);
            }
            Body::Ready => self.common(out, entry, "ready"),
            Body::Heartbeat(figures) => {
                self.common(out, entry, "heartbeat");
                own_fields(out, figures);
            }
            Body::Stop(stop) => {
                self.common(out, entry, "stop");
                own_fields(out, stop);
            }
        }
        out.extend_from_slice(b"}\n");
    }
}

/// Appends the fields of one of the ledger's own records, without its braces.
fn own_fields(out: &mut Vec<u8>, record: &impl Serialize) {
    let brace = out.len();
    // Only an out-of-memory or a map with other than string keys could fail; there is neither. If it
    // did, the record would stand without these fields.
    let mut serializer = serde_json::Serializer::with_formatter(&mut *out, LogFormatter);
    if record.serialize(&mut serializer).is_err() || out.len() == brace + 2 {
        out.truncate(brace);
        return;
    }
    out[brace] = b',';
    out.pop();
}

fn close_fields(out: &mut Vec<u8>, close: &Close, conn: &Conn) {
    micros_field(out, "duration_us", close.duration_ns);
    if let Some(bytes) = close.bytes {
        count_field(out, "bytes_sent", bytes.sent);
        count_field(out, "bytes_received", bytes.received);
    }
    if let Some(segments) = close.segments {
        push_number_field(out, "segments_sent", segments.sent.into());
        push_number_field(out, "segments_received", segments.received.into());
        push_number_field(out, "retransmits", segments.retransmits.into());
        if let Some(rtt_us) = segments.rtt_us {
            push_number_field(out, "rtt_us", rtt_us.into());
        }
    }
    if let Some(side) = conn.opened_by {
        push_word_field(out, "opened_by", side.name());
    }
    if let Some(closed_by) = close.closed_by {
        push_word_field(out, "closed_by", closed_by.name());
    }
    errno_field(out, close.errno);
}

fn endpoint(out: &mut Vec<u8>, key: &str, endpoint: &Endpoint, port: Option<u16>) {
    push_key(out, key);
    out.extend_from_slice(b"{\"ip\":\"");
    write_ip(out, endpoint.ip);
    out.push(b'"');
    if endpoint.scope_id != 0 {
        push_number_field(out, "scope_id", endpoint.scope_id.into());
    }
    if let Some(port) = port {
        push_number_field(out, "port", port.into());
    }
    out.push(b'}');
}

fn true_field(out: &mut Vec<u8>, key: &str) {
    push_key(out, key);
    out.extend_from_slice(b"true");
}

/// A count that may be larger than JSON's readers take.
fn count_field(out: &mut Vec<u8>, key: &str, count: u64) {
    push_key(out, key);
    push_count(out, count);
}

fn micros_field(out: &mut Vec<u8>, key: &str, ns: Option<u64>) {
    if let Some(ns) = ns {
        count_field(out, key, ns / 1000);
    }
}

/// The name of an error; absent if there is none.
fn errno_field(out: &mut Vec<u8>, number: u32) {
    if number == 0 {
        return;
    }
    if let Some(name) = errno::name(number) {
        push_word_field(out, "errno", name);
    } else {
        push_key(out, "errno");
        out.extend_from_slice(b"\"E");
        push_u64(out, number.into());
        out.push(b'"');
    }
}

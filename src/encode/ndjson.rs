//! NDJSON: one object a line, as schema/connledger-1.schema.json describes it.
//!
//! The order of the fields is fixed: what every record has, then what the event is, then the connection,
//! then the process. Events are written by hand into one buffer; the ledger's own records, which are
//! rare, go through serde.

use serde::Serialize;

use super::Encoder;
use super::ip::write_ip;
use super::json::LogFormatter;
use super::json::key;
use super::json::push_count;
use super::json::push_escaped;
use super::json::push_number_field;
use super::json::push_text;
use super::json::push_word_field;
use super::number::push_hex_u64;
use super::number::push_u64;
use super::process::ProcessTexts;
use super::time::TimeWriter;
use super::words::push_errno;
use crate::event::Action;
use crate::event::Close;
use crate::event::Conn;
use crate::event::Endpoint;
use crate::event::Event;
use crate::event::Outcome;
use crate::event::Protocol;
use crate::event::Side;
use crate::host::Identity;
use crate::ledger::Body;
use crate::ledger::Entry;

/// Name and version of the schema, as they stand in every record.
pub const SCHEMA_VERSION: &str = "connledger/1.0";

/// The encoder. What is the same in every line is ready-made text.
#[derive(Debug)]
pub struct Ndjson {
    /// `{"schema":"…","run":"…","seq":`
    prefix: Vec<u8>,
    /// `","host":"…","event":"`: what stands between the time and the event.
    after_time: Vec<u8>,
    /// `,"output":"…"`: what names the output, in the records that tell of outputs.
    output: Vec<u8>,
    /// `,"conn":"` and the boot id.
    conn_prefix: String,
    time: TimeWriter,
    processes: ProcessTexts,
}

impl Ndjson {
    /// An encoder for the records of one run, to the output that is called so.
    #[must_use]
    pub fn new(identity: &Identity, output: &str) -> Self {
        let run = &identity.run;
        let prefix = format!("{{\"schema\":\"{SCHEMA_VERSION}\",\"run\":\"{run}\",\"seq\":");
        let mut after_time = b"\",\"host\":\"".to_vec();
        push_escaped(&mut after_time, identity.host.as_bytes());
        after_time.extend_from_slice(b"\",\"event\":\"");
        let mut name = key!("output").as_bytes().to_vec();
        name.push(b'"');
        push_escaped(&mut name, output.as_bytes());
        name.push(b'"');
        let boot = identity.short_boot_id();
        Self {
            output: name,
            prefix: prefix.into_bytes(),
            after_time,
            conn_prefix: format!("{}\"{boot}-", key!("conn")),
            time: TimeWriter::default(),
            processes: ProcessTexts::new(boot),
        }
    }

    fn common(&mut self, out: &mut Vec<u8>, entry: &Entry, event: &str) {
        out.extend_from_slice(&self.prefix);
        push_count(out, entry.seq);
        out.extend_from_slice(b",\"time\":\"");
        self.time.write(out, entry.time_unix_ns);
        out.extend_from_slice(&self.after_time);
        push_text(out, event);
        out.push(b'"');
    }

    fn event(&mut self, out: &mut Vec<u8>, event: &Event) {
        match &event.action {
            Action::Connect { outcome, errno, latency_ns } => {
                push_word_field(out, key!("outcome"), outcome.name());
                if *outcome != Outcome::Established {
                    errno_field(out, *errno);
                }
                micros_field(out, key!("latency_us"), *latency_ns);
            }
            Action::Accept { wait_ns } => micros_field(out, key!("wait_us"), *wait_ns),
            Action::Close(close) => close_fields(out, close, &event.conn),
            Action::Open { state } | Action::Retransmit { state } => {
                push_word_field(out, key!("state"), state.name());
            }
            Action::Listen { begins, backlog } => {
                push_word_field(out, key!("action"), if *begins { "begin" } else { "end" });
                if let Some(backlog) = backlog {
                    push_number_field(out, key!("backlog"), (*backlog).into());
                }
            }
            Action::Reset { by, state } => {
                let direction = match by {
                    Side::Local => "sent",
                    Side::Remote => "received",
                };
                push_word_field(out, key!("direction"), direction);
                if let Some(state) = state {
                    push_word_field(out, key!("state"), state.name());
                }
            }
        }
        self.conn(out, &event.conn);
        if let Some(owner) = &event.owner {
            self.processes.push(out, owner);
        }
    }

    fn conn(&self, out: &mut Vec<u8>, conn: &Conn) {
        if let Some(cookie) = conn.cookie {
            push_text(out, &self.conn_prefix);
            push_hex_u64(out, cookie);
            if conn.generation != 0 {
                out.push(b'.');
                push_u64(out, conn.generation.into());
            }
            out.push(b'"');
        }
        let protocol = if conn.protocol == Protocol::Mptcp { "mptcp" } else { "tcp" };
        push_word_field(out, key!("protocol"), protocol);
        if conn.protocol == Protocol::MptcpSubflow {
            true_field(out, key!("mptcp_subflow"));
        }
        push_word_field(out, key!("family"), if conn.is_ipv6 { "ipv6" } else { "ipv4" });
        if conn.v4_mapped {
            true_field(out, key!("v4_mapped"));
        }
        if let Some(local) = &conn.local {
            // Port 0 of this end means that it got none; that of the peer can be what was asked for.
            endpoint(out, key!("local"), local, Some(local.port).filter(|&port| port != 0));
        }
        if let Some(remote) = &conn.remote {
            endpoint(out, key!("remote"), remote, Some(remote.port));
        }
        if let Some(netns) = conn.netns {
            push_number_field(out, key!("netns"), netns.into());
        }
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
                out.extend_from_slice(&self.output);
                own_fields(out, start);
            }
            Body::Ready => self.common(out, entry, "ready"),
            Body::Heartbeat(figures) => {
                self.common(out, entry, "heartbeat");
                out.extend_from_slice(&self.output);
                own_fields(out, figures);
            }
            Body::Stop(stop) => {
                self.common(out, entry, "stop");
                out.extend_from_slice(&self.output);
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
    micros_field(out, key!("duration_us"), close.duration_ns);
    if let Some(bytes) = close.bytes {
        count_field(out, key!("bytes_sent"), bytes.sent);
        count_field(out, key!("bytes_received"), bytes.received);
    }
    if let Some(segments) = close.segments {
        push_number_field(out, key!("segments_sent"), segments.sent.into());
        push_number_field(out, key!("segments_received"), segments.received.into());
        push_number_field(out, key!("retransmits"), segments.retransmits.into());
        if let Some(rtt_us) = segments.rtt_us {
            push_number_field(out, key!("rtt_us"), rtt_us.into());
        }
    }
    if let Some(side) = conn.opened_by {
        push_word_field(out, key!("opened_by"), side.name());
    }
    if let Some(closed_by) = close.closed_by {
        push_word_field(out, key!("closed_by"), closed_by.name());
    }
    errno_field(out, close.errno);
}

fn endpoint(out: &mut Vec<u8>, key: &str, endpoint: &Endpoint, port: Option<u16>) {
    push_text(out, key);
    out.extend_from_slice(b"{\"ip\":\"");
    write_ip(out, endpoint.ip);
    out.push(b'"');
    if endpoint.scope_id != 0 {
        push_number_field(out, key!("scope_id"), endpoint.scope_id.into());
    }
    if let Some(port) = port {
        push_number_field(out, key!("port"), port.into());
    }
    out.push(b'}');
}

fn true_field(out: &mut Vec<u8>, key: &str) {
    push_text(out, key);
    out.extend_from_slice(b"true");
}

/// A count that may be larger than JSON's readers take.
fn count_field(out: &mut Vec<u8>, key: &str, count: u64) {
    push_text(out, key);
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
    push_text(out, key!("errno"));
    out.push(b'"');
    push_errno(out, number);
    out.push(b'"');
}

//! The MESSAGE: a sentence that a person reads. Printable ASCII only: it stands on terminals.

use std::io::Write as _;

use crate::encode::json::push_text;
use crate::encode::number::push_u64;
use crate::encode::push_count;
use crate::encode::words::push_address;
use crate::encode::words::push_errno;
use crate::encode::words::push_harmless;
use crate::encode::words::push_thousandths;
use crate::event::Action;
use crate::event::Close;
use crate::event::ClosedBy;
use crate::event::Conn;
use crate::event::Endpoint;
use crate::event::Event;
use crate::event::Outcome;
use crate::event::Owner;
use crate::event::Protocol;
use crate::event::Side;
use crate::event::State;
use crate::ledger::Body;
use crate::ledger::Cause;
use crate::ledger::Figures;
use crate::ledger::Loss;
use crate::ledger::Previous;
use crate::ledger::StopReason;

/// Appends what an entry says.
pub fn write(out: &mut Vec<u8>, body: &Body) {
    match body {
        Body::Event(event) => {
            write_event(out, event);
            push_text(out, carrier(event.conn.protocol));
        }
        Body::Loss(loss) => write_loss(out, loss),
        Body::Start(start) => {
            push_text(out, "connledger ");
            push_text(out, start.version);
            push_text(out, " begins to trace: ");
            for (i, kind) in start.events.iter().enumerate() {
                push_text(out, if i == 0 { "" } else { ", " });
                push_text(out, kind.name());
            }
            if let Some(previous) = &start.previous {
                write_previous(out, previous);
            }
        }
        Body::Ready => push_text(out, "what was open is known; from here on no event is missed"),
        Body::Heartbeat(figures) => write_figures(out, "so far", figures),
        Body::Stop(stop) => {
            push_text(out, "connledger has stopped: ");
            push_text(out, reason(stop.reason));
            write_figures(out, "; in all", &stop.figures);
        }
    }
}

/// For how long nobody watched. Of a run that was killed it is not known until when it could have seen something.
fn write_previous(out: &mut Vec<u8>, previous: &Previous) {
    let most = if previous.stopped.is_none() { " at most" } else { "" };
    push_text(out, "; nobody watched");
    match previous.gap_us {
        Some(us) => span(out, &format!(" for{most} "), Some(us.saturating_mul(1000))),
        None => push_text(out, " for a time"),
    }
    push_text(out, ", since run ");
    push_text(out, &previous.run);
    push_text(out, if previous.stopped.is_none() { " was killed or crashed" } else { " stopped" });
    if previous.unwritten != 0 {
        push_text(out, "; runs between that left no line: ");
        push_count(out, previous.unwritten);
    }
}

fn write_event(out: &mut Vec<u8>, event: &Event) {
    let Event { conn, owner, action, .. } = event;
    let owner = owner.as_ref();
    match action {
        Action::Connect { outcome: Outcome::Established, latency_ns, .. } => {
            process(out, owner);
            push_text(out, " connected to ");
            end(out, conn.remote.as_ref());
            span(out, " in ", *latency_ns);
        }
        Action::Connect { outcome, errno, latency_ns } => {
            process(out, owner);
            push_text(out, " could not connect to ");
            end(out, conn.remote.as_ref());
            push_text(out, failure(*outcome));
            error(out, *errno);
            span(out, " after ", *latency_ns);
        }
        Action::Accept { wait_ns } => {
            process(out, owner);
            push_text(out, " accepted a connection from ");
            end(out, conn.remote.as_ref());
            push_text(out, " at ");
            end(out, conn.local.as_ref());
            span(out, " after ", *wait_ns);
        }
        Action::Close(close) => closed(out, close, conn, owner),
        Action::Open { state: State::Listen } => {
            process(out, owner);
            push_text(out, " was listening at ");
            end(out, conn.local.as_ref());
            push_text(out, " before tracing began");
        }
        Action::Open { state } => {
            connection(out, conn, owner);
            push_text(out, " was open before tracing began");
            in_parentheses(out, state.name());
        }
        Action::Listen { begins, backlog } => {
            process(out, owner);
            push_text(out, if *begins { " listens at " } else { " no longer listens at " });
            end(out, conn.local.as_ref());
            if let Some(backlog) = backlog.filter(|_| *begins) {
                push_text(out, ", backlog ");
                push_u64(out, backlog.into());
            }
        }
        Action::Retransmit { state } => {
            connection(out, conn, owner);
            push_text(out, ": a segment was sent again");
            in_parentheses(out, state.name());
        }
        Action::Reset { state: None, .. } => {
            push_text(out, "a reset was sent to ");
            end(out, conn.remote.as_ref());
            push_text(out, ": there is no such connection");
        }
        Action::Reset { by, state: Some(state) } => {
            connection(out, conn, owner);
            push_text(
                out,
                match by {
                    Side::Local => ": a reset was sent",
                    Side::Remote => ": a reset was received",
                },
            );
            in_parentheses(out, state.name());
        }
    }
}

fn closed(out: &mut Vec<u8>, close: &Close, conn: &Conn, owner: Option<&Owner>) {
    connection(out, conn, owner);
    push_text(
        out,
        match close.closed_by {
            Some(ClosedBy::Local) => " was closed by this side",
            Some(ClosedBy::Remote) => " was closed by the remote side",
            Some(ClosedBy::LocalReset) => " was reset by this side",
            Some(ClosedBy::RemoteReset) => " was reset by the remote side",
            Some(ClosedBy::Timeout) => " timed out: the remote side fell silent",
            None => " is over",
        },
    );
    error(out, close.errno);
    span(out, " after ", close.duration_ns);
    if let Some(bytes) = close.bytes {
        push_text(out, ": ");
        push_u64(out, bytes.sent);
        push_text(out, if bytes.sent == 1 { " byte sent, " } else { " bytes sent, " });
        push_u64(out, bytes.received);
        push_text(out, " received");
    }
    if let Some(segments) = close.segments.filter(|segments| segments.retransmits != 0) {
        push_text(out, ", ");
        push_u64(out, segments.retransmits.into());
        push_text(out, " segments sent again");
    }
}

fn write_loss(out: &mut Vec<u8>, loss: &Loss) {
    push_u64(out, loss.count);
    push_text(out, if loss.count == 1 { " record is missing" } else { " records are missing" });
    for (i, (cause, count)) in loss.causes.iter().enumerate() {
        push_text(out, if i == 0 { ": " } else { ", " });
        push_text(out, why(cause));
        if count != loss.count {
            push_text(out, " (");
            push_u64(out, count);
            push_text(out, ")");
        }
    }
}

fn write_figures(out: &mut Vec<u8>, when: &str, figures: &Figures) {
    let Figures { observed, written, lost, filtered, in_flight, .. } = figures;
    // Seldom, and a Vec takes every byte.
    let _ = write!(
        out,
        "{when} {observed} events were observed, {written} written, {lost} lost, {filtered} filtered"
    );
    if let Some(in_flight) = in_flight {
        let _ = write!(out, ", {in_flight} on their way");
    }
}

/// `curl[1479]`
fn process(out: &mut Vec<u8>, owner: Option<&Owner>) {
    let Some(owner) = owner else {
        return push_text(out, "an unknown process");
    };
    push_harmless(out, owner.comm.as_bytes());
    out.push(b'[');
    push_u64(out, owner.image.pid.into());
    out.push(b']');
}

/// `connection of curl[1479] to 192.0.2.1:443`
fn connection(out: &mut Vec<u8>, conn: &Conn, owner: Option<&Owner>) {
    push_text(out, "connection of ");
    process(out, owner);
    push_text(
        out,
        match conn.opened_by {
            Some(Side::Local) => " to ",
            Some(Side::Remote) => " from ",
            None => " with ",
        },
    );
    end(out, conn.remote.as_ref());
}

/// `192.0.2.1:443`, `[2001:db8::1]:443`
fn end(out: &mut Vec<u8>, endpoint: Option<&Endpoint>) {
    let Some(endpoint) = endpoint else {
        return push_text(out, "an unknown address");
    };
    if endpoint.ip.is_ipv6() {
        out.push(b'[');
        push_address(out, endpoint);
        out.push(b']');
    } else {
        push_address(out, endpoint);
    }
    out.push(b':');
    push_u64(out, endpoint.port.into());
}

/// Milliseconds below a second, else seconds.
fn span(out: &mut Vec<u8>, preposition: &str, ns: Option<u64>) {
    let Some(us) = ns.map(|ns| ns / 1000) else { return };
    push_text(out, preposition);
    if us < 1_000_000 {
        push_thousandths(out, us);
        push_text(out, " ms");
    } else {
        push_thousandths(out, us / 1000);
        push_text(out, " s");
    }
}

fn error(out: &mut Vec<u8>, number: u32) {
    if number != 0 {
        push_text(out, " (");
        push_errno(out, number);
        push_text(out, ")");
    }
}

fn in_parentheses(out: &mut Vec<u8>, word: &str) {
    push_text(out, " (");
    push_text(out, word);
    push_text(out, ")");
}

const fn carrier(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "",
        Protocol::Mptcp => ", mptcp",
        Protocol::MptcpSubflow => ", mptcp subflow",
    }
}

const fn failure(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Established => "",
        Outcome::Refused => ": connection refused",
        Outcome::TimedOut => ": timed out",
        Outcome::Unreachable => ": unreachable",
        Outcome::Reset => ": connection reset",
        Outcome::Aborted => ": given up by this side",
        Outcome::Failed => ": failed",
    }
}

const fn why(cause: Cause) -> &'static str {
    match cause {
        Cause::RingFull => "the ring was full",
        Cause::Nested => "the kernel skipped a program",
        Cause::DescriptorGone => "a descriptor was gone",
        Cause::Malformed => "malformed",
        Cause::Unaccounted => "unaccounted for",
        Cause::OutputFull => "the output's queue was full",
        Cause::TooLarge => "too large",
        Cause::Refused => "refused by the reader",
        Cause::OwnRecord => "the ledger's own",
    }
}

const fn reason(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Interrupted => "interrupted",
        StopReason::Terminated => "terminated",
        StopReason::Duration => "its time is over",
        StopReason::MaxEvents => "as many events as were wanted",
        StopReason::OutputsClosed => "nobody reads it any more",
    }
}

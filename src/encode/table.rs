//! Columns for people: those of tcpconnect and tcpaccept in one table, with full addresses and outcome.
//!
//! Columns widen for good when something longer comes, so that IPv6 is never cut and IPv4 stays narrow.

use super::Encoder;
use super::number::push_u64;
use super::time::TimeWriter;
use super::words::push_address;
use super::words::push_errno;
use super::words::push_harmless;
use super::words::push_thousandths;
use crate::event::Action;
use crate::event::Close;
use crate::event::Endpoint;
use crate::event::Event;
use crate::event::Kind;
use crate::event::Protocol;
use crate::event::Side;
use crate::event::State;
use crate::ledger::Body;
use crate::ledger::Entry;
use crate::ledger::Figures;
use crate::ledger::OutputFigures;

const TITLES: [&str; 9] =
    ["EVENT", "PID", "COMM", "IP", "LADDR", "LPORT", "RADDR", "RPORT", "RESULT"];
const WIDTHS: [usize; TITLES.len()] = [7, 7, 16, 2, 15, 5, 15, 5, 0];

/// The encoder.
#[derive(Debug)]
pub struct Table {
    timestamps: bool,
    widths: [usize; TITLES.len()],
    time: TimeWriter,
    cell: Vec<u8>,
}

impl Table {
    /// A table, with a column of times if `timestamps`.
    #[must_use]
    pub fn new(timestamps: bool) -> Self {
        Self { timestamps, widths: WIDTHS, time: TimeWriter::default(), cell: Vec::new() }
    }

    fn row(&mut self, out: &mut Vec<u8>, event: &Event) {
        for column in 0..TITLES.len() {
            self.cell.clear();
            write_cell(&mut self.cell, column, event);
            let width = self.widths[column].max(self.cell.len());
            self.widths[column] = width;
            out.extend_from_slice(&self.cell);
            if column + 1 < TITLES.len() {
                out.resize(out.len() + width - self.cell.len() + 1, b' ');
            }
        }
        out.push(b'\n');
    }
}

impl Encoder for Table {
    fn begin(&mut self, out: &mut Vec<u8>) {
        if self.timestamps {
            out.extend_from_slice(b"TIME                           ");
        }
        for (i, (title, width)) in TITLES.iter().zip(self.widths).enumerate() {
            out.extend_from_slice(title.as_bytes());
            if i + 1 < TITLES.len() {
                out.resize(out.len() + width - title.len() + 1, b' ');
            }
        }
        out.push(b'\n');
    }

    fn encode(&mut self, entry: &Entry, out: &mut Vec<u8>) {
        // A table tells of the ledger only what matters to who looks on: gaps, and the end.
        if matches!(entry.body, Body::Start(_) | Body::Ready) {
            return;
        }
        if self.timestamps {
            self.time.write(out, entry.time_unix_ns);
            out.push(b' ');
        }
        match &entry.body {
            Body::Event(event) => self.row(out, event),
            Body::Loss(loss) => {
                let causes: Vec<String> = loss
                    .causes
                    .iter()
                    .map(|(cause, count)| format!("{count} {}", cause.name()))
                    .collect();
                let line = format!("# {} records lost here: {}\n", loss.count, causes.join(", "));
                out.extend_from_slice(line.as_bytes());
            }
            Body::Heartbeat(figures) => figures_line(out, "so far", figures),
            Body::Stop(stop) => figures_line(out, "stopped", &stop.figures),
            Body::Start(_) | Body::Ready => {}
        }
    }
}

fn figures_line(out: &mut Vec<u8>, what: &str, figures: &Figures) {
    let Figures { observed, written, lost, filtered, .. } = figures;
    let mut line = format!(
        "# {what}: observed {observed} = written {written} + lost {lost} + filtered {filtered}{}",
        figures.in_flight.map_or_else(String::new, |count| format!(" + in flight {count}")),
    );
    // Of the outputs, those that have not all that the others may have.
    for output in figures.outputs.iter().filter(|output| output.lost != *lost || output.closed) {
        let OutputFigures { output, written, lost, in_flight, closed, .. } = output;
        let closed = if *closed { ", closed" } else { "" };
        let books = [
            &format!("; {output}: written {written}")[..],
            &format!(" + lost {lost} + in flight {in_flight}{closed}"),
        ];
        line.extend(books);
    }
    out.extend_from_slice(line.as_bytes());
    out.push(b'\n');
}

fn write_cell(cell: &mut Vec<u8>, column: usize, event: &Event) {
    let conn = &event.conn;
    match TITLES[column] {
        "EVENT" => cell.extend_from_slice(match event.action.kind() {
            // Nothing is wider than the column from the start.
            Kind::Retransmit => b"retrans",
            kind => kind.name().as_bytes(),
        }),
        "PID" => match &event.owner {
            Some(owner) => push_u64(cell, owner.image.pid.into()),
            None => cell.push(b'-'),
        },
        "COMM" => match &event.owner {
            Some(owner) => push_harmless(cell, owner.comm.as_bytes()),
            None => cell.push(b'-'),
        },
        "IP" => cell.push(if conn.is_ipv6 { b'6' } else { b'4' }),
        "LADDR" => address(cell, conn.local.as_ref()),
        // Port 0 of this end means that it got none.
        "LPORT" => port(cell, conn.local.as_ref().filter(|local| local.port != 0)),
        "RADDR" => address(cell, conn.remote.as_ref()),
        "RPORT" => port(cell, conn.remote.as_ref()),
        _ => {
            result(cell, &event.action);
            cell.extend_from_slice(protocol(conn.protocol));
        }
    }
}

fn address(cell: &mut Vec<u8>, endpoint: Option<&Endpoint>) {
    let Some(endpoint) = endpoint else {
        cell.push(b'-');
        return;
    };
    push_address(cell, endpoint);
}

fn port(cell: &mut Vec<u8>, endpoint: Option<&Endpoint>) {
    match endpoint {
        Some(endpoint) => push_u64(cell, endpoint.port.into()),
        None => cell.push(b'-'),
    }
}

/// Told if it is not plain TCP: a subflow looks like a connection made twice.
fn protocol(protocol: Protocol) -> &'static [u8] {
    match protocol {
        Protocol::Tcp => b"",
        Protocol::Mptcp => b", mptcp",
        Protocol::MptcpSubflow => b", mptcp subflow",
    }
}

fn result(cell: &mut Vec<u8>, action: &Action) {
    match action {
        Action::Connect { outcome, errno, latency_ns } => {
            cell.extend_from_slice(outcome.name().as_bytes());
            errno_in_parentheses(cell, *errno);
            millis(cell, " in ", *latency_ns);
        }
        Action::Accept { wait_ns } => {
            cell.extend_from_slice(b"accepted");
            millis(cell, " after ", *wait_ns);
        }
        Action::Close(close) => closed(cell, close),
        Action::Open { state: State::Listen } => cell.extend_from_slice(b"listening"),
        Action::Open { state } => state_after(cell, "open, ", *state),
        Action::Listen { begins: true, backlog } => {
            cell.extend_from_slice(b"listens");
            if let Some(backlog) = backlog {
                cell.extend_from_slice(b", backlog ");
                push_u64(cell, (*backlog).into());
            }
        }
        Action::Listen { begins: false, .. } => cell.extend_from_slice(b"listens no more"),
        Action::Retransmit { state } => state_after(cell, "sent again, ", *state),
        Action::Reset { by, state } => {
            let what: &[u8] = match by {
                Side::Local => b"reset sent",
                Side::Remote => b"reset received",
            };
            cell.extend_from_slice(what);
            match state {
                Some(state) => state_after(cell, ", ", *state),
                None => cell.extend_from_slice(b", no such socket"),
            }
        }
    }
}

fn state_after(cell: &mut Vec<u8>, what: &str, state: State) {
    cell.extend_from_slice(what.as_bytes());
    cell.extend_from_slice(state.name().as_bytes());
}

fn closed(cell: &mut Vec<u8>, close: &Close) {
    cell.extend_from_slice(b"closed");
    if let Some(closed_by) = close.closed_by {
        cell.extend_from_slice(b" by ");
        cell.extend_from_slice(closed_by.name().as_bytes());
    }
    errno_in_parentheses(cell, close.errno);
    millis(cell, " after ", close.duration_ns);
    if let Some(bytes) = close.bytes {
        cell.extend_from_slice(b", sent ");
        push_u64(cell, bytes.sent);
        cell.extend_from_slice(b", received ");
        push_u64(cell, bytes.received);
    }
    if let Some(segments) = close.segments.filter(|segments| segments.retransmits != 0) {
        cell.extend_from_slice(b", retransmits ");
        push_u64(cell, segments.retransmits.into());
    }
}

fn errno_in_parentheses(cell: &mut Vec<u8>, number: u32) {
    if number == 0 {
        return;
    }
    cell.extend_from_slice(b" (");
    push_errno(cell, number);
    cell.push(b')');
}

fn millis(cell: &mut Vec<u8>, preposition: &str, ns: Option<u64>) {
    let Some(us) = ns.map(|ns| ns / 1000) else { return };
    cell.extend_from_slice(preposition.as_bytes());
    push_thousandths(cell, us);
    cell.extend_from_slice(b" ms");
}

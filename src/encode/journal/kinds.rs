//! What the journal knows an entry's kind by.

use crate::event::Action;
use crate::event::ClosedBy;
use crate::event::Event;
use crate::event::Kind;
use crate::event::Outcome;
use crate::ledger::Body;
use crate::ledger::OutputFigures;

const INFO: u64 = 6;
const NOTICE: u64 = 5;
const WARNING: u64 = 4;

/// The MESSAGE_ID: random, one for each kind, and never changed. packaging/journald/connledger.catalog has a text for
/// each.
pub const fn message_id(body: &Body) -> &'static str {
    match body {
        Body::Event(event) => match event.action.kind() {
            Kind::Connect => "7deaaa660f7346fcb821b5857e7ea0c2",
            Kind::Accept => "2ea4ad3d0352466eb1301a2a96dc5bdf",
            Kind::Close => "ad2113227a1b469197b8d8f98862ff15",
            Kind::Open => "92ef6a09231348d3ae05ed28975ca698",
            Kind::Listen => "30f0d229d2694cbaa0d5eab7bae578e3",
            Kind::Retransmit => "f8ad881834cf4a9a91755776933c3c1d",
            Kind::Reset => "743a9030187343e1beb817327eef0ad0",
        },
        Body::Start(_) => "73ec8298fccf416aaba0243a2a6f2f01",
        Body::Ready => "be021f59014549ffb6e29fd2c39835ee",
        Body::Loss(_) => "434b691dbe8c445a8d15c28bfcf071b5",
        Body::Heartbeat(_) => "68df7b54334e40378be1a10506732818",
        Body::Stop(_) => "8b4a0f5f4b2a482fbaed580273e261be",
    }
}

/// The PRIORITY, as syslog numbers it. What a host does all day is information; what may be somebody's trouble is a
/// notice; what the log lacks is a warning.
pub fn priority(body: &Body) -> u64 {
    match body {
        Body::Event(event) if went_wrong(event) => NOTICE,
        Body::Loss(_) => WARNING,
        // The losses themselves have warned.
        Body::Stop(stop) if stop.figures.outputs.iter().any(is_incomplete) => NOTICE,
        Body::Event(_) | Body::Start(_) | Body::Ready | Body::Heartbeat(_) | Body::Stop(_) => INFO,
    }
}

/// A connect that failed otherwise than by this side's own will, and a connection whose peer fell silent.
fn went_wrong(event: &Event) -> bool {
    match &event.action {
        Action::Connect { outcome, .. } => {
            !matches!(outcome, Outcome::Established | Outcome::Aborted)
        }
        Action::Close(close) => close.closed_by == Some(ClosedBy::Timeout),
        Action::Accept { .. }
        | Action::Open { .. }
        | Action::Listen { .. }
        | Action::Retransmit { .. }
        | Action::Reset { .. } => false,
    }
}

fn is_incomplete(output: &OutputFigures) -> bool {
    output.lost != 0 || output.in_flight != 0
}

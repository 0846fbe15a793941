//! What the fields of a record must have to do with each other. The schema promises it to readers, so a
//! record that contradicts itself is malformed, and declared lost.

use super::WireError;
use crate::event::Action;
use crate::event::Close;
use crate::event::Conn;
use crate::event::Event;
use crate::event::Outcome;
use crate::event::Protocol;
use crate::event::Side;
use crate::event::State;

/// Names the field that does not fit the others, if there is one.
pub(super) fn check(event: &Event) -> Result<(), WireError> {
    let fits = |fits: bool, field| if fits { Ok(()) } else { Err(WireError::BadField(field)) };
    let Event { conn, action, .. } = event;
    fits(ends_fit(conn, action), "unknown")?;
    fits(state_fits(action), "state")?;
    match action {
        // Not every kernel says where a segment came in that no socket took.
        Action::Reset { state: None, .. } => {}
        _ => fits(conn.netns.is_some(), "netns")?,
    }
    match action {
        // No process accepts a subflow, nor listens for one.
        Action::Accept { .. } | Action::Listen { .. } => {
            fits(conn.protocol != Protocol::MptcpSubflow, "protocol")
        }
        Action::Close(Close { bytes, segments, .. }) => {
            fits(conn.protocol == Protocol::Mptcp || bytes.is_some() && segments.is_some(), "known")
        }
        _ => Ok(()),
    }
}

/// A connection has two ends, a listener one. An attempt need not have any, nor what was reset.
fn ends_fit(conn: &Conn, action: &Action) -> bool {
    let ends = (conn.local.is_some(), conn.remote.is_some());
    match action {
        Action::Listen { .. } | Action::Open { state: State::Listen } => ends == (true, false),
        Action::Connect { outcome: Outcome::Established, .. }
        | Action::Accept { .. }
        | Action::Close(_)
        | Action::Open { .. }
        | Action::Retransmit { .. } => ends == (true, true),
        Action::Connect { .. } | Action::Reset { .. } => true,
    }
}

fn state_fits(action: &Action) -> bool {
    match action {
        Action::Open { state } => matches!(
            state,
            State::Established
                | State::FinWait1
                | State::FinWait2
                | State::CloseWait
                | State::Closing
                | State::LastAck
                | State::Listen
        ),
        // Without a socket nothing is received.
        Action::Reset { by, state } => *by == Side::Local || state.is_some(),
        _ => true,
    }
}

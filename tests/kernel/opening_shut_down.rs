//! What was open when tracing began, and whose process had shut down both directions before: data that comes then is
//! answered with RST.

use std::io::Write as _;
use std::net::Shutdown;

use crate::can_trace;
use crate::endings::some_data;
use crate::namespace::Dropping;
use crate::namespace::Namespace;
use crate::pairs::Pair;
use crate::pairs::assert_bytes;
use crate::pairs::assert_ended;
use crate::pairs::wait_for_state;
use crate::resets::fin_to;
use crate::sockets::State;
use crate::tracer::Tracer;

/// The client, with some data received, has shut down both directions and is in this state; then the tracer starts, and
/// data comes.
fn shut_down(state: State) {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let mut pair = Pair::new();
    let (client, server) = pair.ends();
    some_data(&mut pair);
    let dropping = matches!(state, State::FinWait1).then(|| Dropping::incoming(&fin_to(server)));
    pair.client.shutdown(Shutdown::Both).unwrap();
    wait_for_state(&pair.client, state);
    let tracer = Tracer::start(&[]);
    pair.server.write_all(b"too late").unwrap();
    wait_for_state(&pair.server, State::Close);
    wait_for_state(&pair.client, State::Close);
    drop((pair, dropping));
    let log = tracer.stop();
    assert_eq!(log.events(namespace.netns).len(), 4, "{:#?}", log.events(namespace.netns));
    log.event(namespace.netns, "open", client, server);
    log.event(namespace.netns, "open", server, client);
    let close = log.event(namespace.netns, "close", client, server);
    assert_eq!(close["closed_by"], "local_reset", "{close}");
    assert_bytes(close, 3, 5);
    let close = log.event(namespace.netns, "close", server, client);
    // A FIN that has come makes the kernel say EPIPE.
    let errno = if let State::FinWait1 = state { "ECONNRESET" } else { "EPIPE" };
    assert_ended(close, "remote_reset", errno);
    assert_bytes(close, 13, 3);
}

#[test]
fn data_in_fin_wait1() {
    shut_down(State::FinWait1);
}

#[test]
fn data_in_fin_wait2() {
    shut_down(State::FinWait2);
}

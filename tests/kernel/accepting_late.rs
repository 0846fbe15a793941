//! Accepts by io_uring of what its client has ended before: no system call says who took it, and the last transition may
//! have gone by.
//!
//! The server is a forked child, which is not the listener's owner.

use std::io::Write as _;
use std::net::TcpListener;
use std::net::TcpStream;
use std::process;

use serde_json::Value;

use crate::accepting_uring::Accepting;
use crate::accepting_uring::Doing;
use crate::accepting_uring::serve;
use crate::namespace::v4;
use crate::pairs::assert_bytes;
use crate::pairs::assert_ended;
use crate::pairs::linger_zero;
use crate::processes::forked;
use crate::scene::Scene;

/// Who is named.
type Named = (&'static str, u32);

/// The one accept and the one close of the server's end of a connection that `end` has ended before it is accepted, and
/// whom they name if its child was at work with it.
fn late(doing: Doing, end: impl FnOnce(TcpStream)) -> Option<(Value, Value, Named)> {
    let scene = Scene::set()?;
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let mut stream = TcpStream::connect(server).unwrap();
    let client = stream.local_addr().unwrap();
    if doing == Doing::Read {
        stream.write_all(b"abcde").unwrap();
    }
    end(stream);
    let child = forked(|| serve(&listener, Accepting::Plain, doing, &scene.tracer));
    let pid = child.pid().cast_unsigned();
    child.wait();
    scene.wait_for_closes(2);
    let told = scene.end();
    told.assert_counts(1, 1, 2);
    let accept = told.log.event(told.netns, "accept", server, client);
    let close = told.log.event(told.netns, "close", server, client);
    assert_eq!(accept["conn"], close["conn"], "{accept}");
    assert_bytes(close, 0, if doing == Doing::Read { 5 } else { 0 });
    Some((accept.clone(), close.clone(), ("io", pid)))
}

fn assert_named(record: &Value, (attributed_to, pid): Named) {
    assert_eq!(record["attributed_to"], attributed_to, "{record}");
    assert_eq!(record["process"]["pid"], pid, "{record}");
}

fn listener() -> Named {
    ("listener", process::id())
}

fn reset(stream: TcpStream) {
    linger_zero(&stream);
    drop(stream);
}

#[test]
fn reset_then_nothing() {
    let Some((accept, close, _)) = late(Doing::Nothing, reset) else { return };
    assert_named(&accept, listener());
    assert_named(&close, listener());
    assert_ended(&close, "remote_reset", "ECONNRESET");
}

/// Its close was told with the RST, when only its listener was known.
#[test]
fn reset_then_read() {
    let Some((accept, close, child)) = late(Doing::Read, reset) else { return };
    assert_named(&accept, child);
    assert_named(&close, listener());
    assert_ended(&close, "remote_reset", "ECONNRESET");
}

#[test]
fn fin_then_nothing() {
    let Some((accept, close, _)) = late(Doing::Nothing, drop) else { return };
    assert_named(&accept, listener());
    assert_named(&close, listener());
    assert_ended(&close, "remote", "");
}

#[test]
fn fin_then_read() {
    let Some((accept, close, child)) = late(Doing::Read, drop) else { return };
    assert_named(&accept, child);
    assert_named(&close, child);
    assert_ended(&close, "remote", "");
}

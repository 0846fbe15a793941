//! Accepts in SYN_RECV, as in accepting_early.rs, by io_uring: no system call says who took the connection, and it does not
//! say so itself before the handshake is over.

use std::net::Shutdown;
use std::net::TcpListener;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::accepting_early::begin_with;
use crate::accepting_early::fast_open;
use crate::accepting_uring::Accepting;
use crate::accepting_uring::Doing;
use crate::accepting_uring::serve;
use crate::connecting::assert_caller;
use crate::namespace::Dropping;
use crate::namespace::v4;
use crate::pairs::assert_bytes;
use crate::pairs::assert_ended;
use crate::pairs::told_once;
use crate::pairs::wait_for_state;
use crate::pairs::wait_until;
use crate::processes::forked;
use crate::scene::Scene;
use crate::sockets::State;
use crate::sockets::tcp_info;

/// Accepted by io_uring before the handshake is over, by a child that does something with it. `then` has the client, and
/// lets its packets pass when it likes; `end` ends the child. Returns the accept, the client's close, and the server's.
fn unseen(
    doing: Doing,
    data: &[u8],
    then: impl FnOnce(&TcpStream, Dropping, &dyn Fn()),
) -> Option<(Value, Value, Value)> {
    let scene = Scene::with(&["-e", "all"], fast_open)?;
    let listener = TcpListener::bind(v4()).unwrap();
    Some(unseen_by(scene, &listener, doing, data, then))
}

/// The same with a listener of the scene's.
fn unseen_by(
    scene: Scene,
    listener: &TcpListener,
    doing: Doing,
    data: &[u8],
    then: impl FnOnce(&TcpStream, Dropping, &dyn Fn()),
) -> (Value, Value, Value) {
    let server = listener.local_addr().unwrap();
    let [(used, is_used), (ended, end)] = [(); 2].map(|()| nix::unistd::pipe().unwrap());
    let child = forked(|| {
        serve(listener, Accepting::Plain, doing, &scene.tracer);
        nix::unistd::write(&is_used, &[0]).unwrap();
        nix::unistd::read(&ended, &mut [0]).unwrap();
    });
    let pid = child.pid();
    let (stream, dropping) = begin_with(server, data);
    let client = stream.local_addr().unwrap();
    nix::unistd::read(&used, &mut [0]).unwrap();
    then(&stream, dropping, &|| {
        nix::unistd::write(&end, &[0]).unwrap();
    });
    child.wait();
    wait_until(|| tcp_info(&stream).tcpi_state != State::Established as u8, "the end");
    drop(stream);
    scene.wait_for_closes(2);
    let told = scene.end();
    told.assert_counts(1, 1, 2);
    let (client_close, close) = told_once(&told.log, told.netns, (client, server));
    let accept = told.events_of("accept")[0];
    for record in [accept, &close] {
        if doing == Doing::Nothing {
            assert_eq!(record["attributed_to"], "listener", "{record}");
            assert_caller(record);
        } else {
            assert_eq!(record["attributed_to"], "io", "{record}");
            assert_eq!(record["process"]["pid"], pid, "{record}");
        }
    }
    (accept.clone(), client_close, close)
}

/// The child has ended before anything passes.
fn over_first(stream: &TcpStream, dropping: Dropping, end: &dyn Fn()) {
    end();
    // Its FIN, or RST, needs no answer to be seen.
    wait_until(|| tcp_info(stream).tcpi_state != State::Established as u8, "the end");
    drop(dropping);
}

#[test]
fn read_and_closed() {
    let told = unseen(Doing::Read, b"abcde", over_first);
    let Some((_, client, server)) = told else { return };
    assert_ended(&client, "remote", "");
    assert_ended(&server, "local", "");
    assert_bytes(&client, 5, 0);
    assert_bytes(&server, 0, 5);
}

#[test]
fn read_and_closed_at_a_listener_of_before() {
    let mut listener = None;
    let scene = Scene::with(&["-e", "connect,accept,close,reset"], || {
        fast_open();
        listener = Some(TcpListener::bind(v4()).unwrap());
    });
    let Some(scene) = scene else { return };
    let (_, _, server) = unseen_by(scene, &listener.unwrap(), Doing::Read, b"abcde", over_first);
    assert_ended(&server, "local", "");
    assert_bytes(&server, 0, 5);
}

#[test]
fn closed_with_unread_data() {
    let told = unseen(Doing::Nothing, b"abc", over_first);
    let Some((accept, client, server)) = told else { return };
    assert_ended(&client, "remote_reset", "ECONNRESET");
    assert_ended(&server, "local_reset", "");
    assert_bytes(&client, 3, 0);
    assert_bytes(&server, 0, 3);
    // Nobody knows when it was accepted, and it was never established.
    assert!(accept.get("wait_us").is_none(), "{accept}");
    assert!(server.get("duration_us").is_none(), "{server}");
}

#[test]
fn written_to_and_closed() {
    let told = unseen(Doing::Write, b"abc", over_first);
    let Some((_, client, server)) = told else { return };
    assert_ended(&client, "remote_reset", "ECONNRESET");
    assert_ended(&server, "local_reset", "");
    assert_bytes(&client, 3, 5);
    assert_bytes(&server, 5, 3);
}

#[test]
fn read() {
    let told = unseen(Doing::Read, b"abcde", |stream, dropping, end| {
        thread::sleep(Duration::from_millis(100));
        drop(dropping);
        stream.shutdown(Shutdown::Write).unwrap();
        wait_for_state(stream, State::FinWait2);
        end();
    });
    let Some((_, client, server)) = told else { return };
    assert_ended(&client, "local", "");
    assert_ended(&server, "remote", "");
    assert_bytes(&client, 5, 0);
    assert_bytes(&server, 0, 5);
}

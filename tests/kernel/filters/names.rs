//! --comm: the name of the thread that calls.

use std::ffi::CStr;
use std::ffi::OsStr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::unix::ffi::OsStrExt as _;

use nix::sys::prctl::set_name;

use super::calls::filtered;
use super::calls::wait_until_all_have_ended;
use crate::can_trace;
use crate::namespace::Namespace;
use crate::namespace::v4;
use crate::processes::forked;
use crate::tracer::Tracer;

/// A child of a name calls this thread, which is called `the-server`: are its events told, and ours?
fn check(client: &CStr, names: &[u8], client_told: bool, server_told: bool) {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    set_name(c"the-server").unwrap();
    let tracer = Tracer::start_os(&[OsStr::new("--comm"), OsStr::from_bytes(names)]);
    let child = forked(|| {
        set_name(client).unwrap();
        drop(TcpStream::connect(server));
    });
    let pid = child.pid();
    drop(listener.accept().unwrap());
    child.wait();
    if client_told || server_told {
        let closes = usize::from(client_told) + usize::from(server_told);
        tracer.wait_for_events(namespace.netns, "close", closes);
    }
    wait_until_all_have_ended();
    let log = tracer.stop();
    let (of_child, of_us): (Vec<_>, Vec<_>) =
        log.events(namespace.netns).into_iter().partition(|record| record["process"]["pid"] == pid);
    let names = String::from_utf8_lossy(names);
    assert_eq!(of_child.len(), if client_told { 2 } else { 0 }, "the client under {names}");
    assert_eq!(of_us.len(), if server_told { 2 } else { 0 }, "the server under {names}");
    assert!(filtered(&log) >= (4 - of_child.len() - of_us.len()) as u64);
}

#[test]
fn comm_included() {
    check(c"the-client", b"the-client", true, false);
    check(c"the-client", b"nobody,the-server", false, true);
    check(c"the-client", b"the-client,the-server", true, true);
}

#[test]
fn comm_excluded() {
    check(c"the-client", b"!the-client", false, true);
    check(c"the-client", b"!nobody", true, true);
    check(c"the-client", b"the-client,the-server,!the-client", false, true);
}

#[test]
fn a_name_is_the_whole_name() {
    check(c"the-client", b"the-clien,the-client-,the,client", false, false);
    check(c"fifteen--bytes!", b"fifteen--bytes!", true, false);
    // The kernel cuts.
    check(c"more-than-15-bytes", b"more-than-15-by", true, false);
}

#[test]
fn any_bytes_are_a_name() {
    check(c"two words", b"two words", true, false);
    check(c"a,b", b"a\\,b", true, false);
    check(c"!a", b"\\!a", true, false);
    check(c"!a", b"!\\!a", false, true);
    check(c"\x1b[31m\xff\"", b"\\x1b[31m\xff\"", true, false);
}

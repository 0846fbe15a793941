//! What a user with two capabilities sees.

use std::fs;
use std::io::Read as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::process;

use io_uring::IoUring;
use serde_json::Value;

use crate::log::Log;
use crate::namespace::v4;
use crate::ring;
use crate::scene::Running;
use crate::scene::Scene;
use crate::scene::wait_until;
use crate::who::Who;

/// Where no packet gets to.
const NOWHERE: &str = "198.51.100.7:80";

/// Waits until a record of a kind is there so often.
fn wait_for(path: &Path, kind: &str, count: usize) {
    let kind = format!("\"event\":\"{kind}\"");
    wait_until(&kind, || {
        fs::read_to_string(path).is_ok_and(|text| text.matches(&kind).count() >= count)
    });
}

/// The one record of a kind with this local end.
fn the<'a>(log: &'a Log, kind: &'a str, local: SocketAddr) -> &'a Value {
    let ip = local.ip().to_string();
    let mut found = log
        .of_kind(kind)
        .filter(|record| record["local"]["ip"] == *ip && record["local"]["port"] == local.port());
    let record = found.next().unwrap_or_else(|| panic!("no {kind} of {local}: {:#?}", log.records));
    assert!(found.next().is_none(), "two {kind} of {local}: {:#?}", log.records);
    assert_eq!(record["process"]["pid"], process::id(), "{record}");
    record
}

/// It stops it, and holds what was written and said against what must be.
fn checked(running: Running, path: &Path) -> Log {
    let said = running.stop();
    assert!(!said.contains("warning"), "{said}");
    let log = Log::read(path);
    log.check(&format!("file:{}", path.display()));
    assert_eq!(log.lost(), 0);
    log
}

#[test]
fn everyone_sees_the_same() {
    let Some(scene) = Scene::set() else { return };
    for who in Who::ALL {
        let path = scene.path(&format!("{who:?}"));
        let listener = TcpListener::bind(v4()).unwrap();
        let server = listener.local_addr().unwrap();
        let early = TcpStream::connect(server).unwrap();
        let early = (listener.accept().unwrap().0, early);

        let running = who.start(&scene, &["-e", "all", "-o", &format!("file:{}", path.display())]);
        let client = TcpStream::connect(server).unwrap();
        let local = client.local_addr().unwrap();
        let (accepted, remote) = listener.accept().unwrap();
        assert_eq!(remote, local);
        drop((client, accepted));
        let failed = TcpStream::connect(NOWHERE).unwrap_err();
        let early_local = early.1.local_addr().unwrap();
        drop((early, listener));
        wait_for(&path, "close", 4);
        let log = checked(running, &path);

        // Which, depends on the kernel, and how it is set.
        let hooks = &log.records[0]["hooks"];
        assert!(hooks["accept"].is_string() && hooks["connect"].is_string(), "{who:?}: {hooks}");
        assert_eq!(the(&log, "open", early_local)["attributed_to"], "holder", "{who:?}");
        assert_eq!(the(&log, "connect", local)["outcome"], "established", "{who:?}");
        assert_eq!(the(&log, "close", local)["opened_by"], "local", "{who:?}");
        let accepts: Vec<_> = log.of_kind("accept").collect();
        assert_eq!(accepts.len(), 1, "{who:?}: {accepts:#?}");
        assert_eq!(accepts[0]["attributed_to"], "accept", "{who:?}");
        assert_eq!(accepts[0]["remote"]["port"], local.port(), "{who:?}");
        assert_eq!(accepts[0]["process"]["pid"], process::id(), "{who:?}");
        // One that no packet was sent for: only the system call shows it.
        let errors: Vec<_> =
            log.of_kind("connect").filter(|one| one.get("errno").is_some()).collect();
        assert_eq!(errors.len(), 1, "{who:?}: {errors:#?}");
        assert_eq!(failed.raw_os_error(), Some(nix::libc::ENETUNREACH));
        assert_eq!(errors[0]["errno"], "ENETUNREACH", "{who:?}");
        assert_eq!(errors[0]["process"]["pid"], process::id(), "{who:?}");
    }
}

#[test]
fn io_uring_is_followed_once_there_is_a_ring() {
    let Some(scene) = Scene::set() else { return };
    for who in Who::ALL {
        let path = scene.path(&format!("{who:?}"));
        let running = who.start(&scene, &["-o", &format!("file:{}", path.display())]);
        let mut ring = IoUring::new(4).unwrap();
        follows_io(&running);
        let listener = TcpListener::bind(v4()).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(b"!").unwrap();
        let mut accepted = ring::accept(&mut ring, &listener);
        accepted.read_exact(&mut [0]).unwrap();
        // Both before anything is closed: the close would tell, too.
        wait_for(&path, "accept", 1);
        drop((client, accepted));
        wait_for(&path, "close", 2);
        let log = checked(running, &path);
        let accepts: Vec<_> = log.of_kind("accept").collect();
        assert_eq!(accepts.len(), 1, "{accepts:#?}");
        assert_eq!(accepts[0]["process"]["pid"], process::id(), "{who:?}");
        assert_eq!(accepts[0]["attributed_to"], "io", "{who:?}: {}", accepts[0]);
    }
}

/// Waits until it follows reads and writes, as its links tell.
pub fn follows_io(running: &Running) {
    wait_until("following of reads and writes", || {
        let infos = fs::read_dir(format!("/proc/{}/fdinfo", running.pid())).expect("fdinfo");
        infos
            .filter_map(|info| fs::read_to_string(info.ok()?.path()).ok())
            .any(|info| info.lines().any(|line| line.ends_with("\tsock_recv_length")))
    });
}

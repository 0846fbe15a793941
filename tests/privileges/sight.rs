//! What connledger must see, whoever runs it.

use std::fs;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::process;

use serde_json::Value;

use crate::log::Log;
use crate::namespace::v4;
use crate::scene::Running;
use crate::scene::Scene;
use crate::scene::wait_until;
use crate::who::Who;

/// Where no packet gets to.
const NOWHERE: &str = "198.51.100.7:80";

/// Waits until a record of a kind is there so often.
pub fn wait_for(path: &Path, kind: &str, count: usize) {
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
pub fn checked(running: Running, path: &Path) -> Log {
    let said = running.stop();
    assert!(!said.contains("warning"), "{said}");
    let log = Log::read(path);
    log.check(&format!("file:{}", path.display()));
    assert_eq!(log.lost(), 0);
    log
}

/// Has them trace a connection from before, one that is made and accepted, and one that fails before a SYN, and holds
/// what is told against that. Returns it.
pub fn sees_everything(scene: &Scene, who: Who) -> Log {
    let path = scene.path(&format!("{who:?}"));
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let early = TcpStream::connect(server).unwrap();
    let early = (listener.accept().unwrap().0, early);

    let running = who.start(scene, &["-e", "all", "-o", &format!("file:{}", path.display())]);
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
    let errors: Vec<_> = log.of_kind("connect").filter(|one| one.get("errno").is_some()).collect();
    assert_eq!(errors.len(), 1, "{who:?}: {errors:#?}");
    assert_eq!(failed.raw_os_error(), Some(nix::libc::ENETUNREACH));
    assert_eq!(errors[0]["errno"], "ENETUNREACH", "{who:?}");
    assert_eq!(errors[0]["process"]["pid"], process::id(), "{who:?}");
    log
}

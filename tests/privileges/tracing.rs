//! What a user with two capabilities sees.

use std::fs;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::net::TcpStream;
use std::process;

use io_uring::IoUring;

use crate::namespace::v4;
use crate::ring;
use crate::scene::Running;
use crate::scene::Scene;
use crate::scene::wait_until;
use crate::sight::checked;
use crate::sight::sees_everything;
use crate::sight::wait_for;
use crate::who::Who;

#[test]
fn everyone_sees_the_same() {
    let Some(scene) = Scene::set() else { return };
    for who in Who::ALL {
        sees_everything(&scene, who);
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

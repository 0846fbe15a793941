//! Once connledger is ready no thread of it holds a capability, and everything goes on.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use io_uring::IoUring;
use nix::sys::signal::Signal;

use crate::log::Log;
use crate::log::number;
use crate::log::records;
use crate::reader::Reader;
use crate::reader::lines_in;
use crate::reader::remove;
use crate::scene::EVENTS_EACH;
use crate::scene::Running;
use crate::scene::Scene;
use crate::scene::wait_until;
use crate::tracing::follows_io;
use crate::who::Who;
use crate::who::own;

/// What a user's bounding set holds: CAP_PERFMON and CAP_BPF. It takes a capability to make it smaller.
const TWO: &str = "000000c000000000";
const NONE: &str = "0000000000000000";

/// A reader at a socket that they may write to.
fn reader_for(who: Who, socket: &Path) -> Reader {
    let reader = Reader::at(socket);
    own(socket, who.id());
    reader
}

/// Holds its threads, so many, against what they may have. The bounding set need not be known.
pub fn assert_powerless(running: &Running, bounding: Option<&str>, threads: usize) {
    let tasks = fs::read_dir(format!("/proc/{}/task", running.pid())).expect("threads");
    let tasks: Vec<_> = tasks.map(|task| task.expect("a thread").path().join("status")).collect();
    assert_eq!(tasks.len(), threads);
    for task in tasks {
        let status = fs::read_to_string(task).expect("its status");
        let fields: BTreeMap<&str, &str> =
            status.lines().filter_map(|line| line.split_once(":\t")).collect();
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(fields[set], NONE, "{set}: {status}");
        }
        assert!(bounding.is_none_or(|bounding| fields["CapBnd"] == bounding), "{status}");
        assert_eq!(fields["NoNewPrivs"], "1", "{status}");
    }
}

#[test]
fn everything_goes_on() {
    for who in Who::ALL {
        let Some(scene) = Scene::set() else { return };
        let [log, rotated, socket] = ["log", "rotated", "socket"].map(|name| scene.path(name));
        let [to_log, to_rotated] = [&log, &rotated].map(|path| format!("file:{}", path.display()));
        let to_socket = format!("unix:{}", socket.display());
        let reader = reader_for(who, &socket);
        let rotating = format!("{to_rotated},rotate=64KiB,keep=50");
        let blocking = format!("{to_socket},on-full=block");
        let args = ["--heartbeat=1", "-o", &to_log, "-o", &rotating, "-o", &blocking];
        let mut running = who.start(&scene, &args);
        // The collector, one for each output, and one for the state.
        let powerless = |running: &Running| {
            assert_powerless(running, Some(if who == Who::Root { NONE } else { TWO }), 5);
        };
        powerless(&running);
        let mut events = 0;
        let mut connect = |connections| {
            scene.connect(connections);
            // One more ends the listener.
            events += (connections + 1) * EVENTS_EACH;
            events
        };

        // The reader goes, and comes back.
        let so_far = connect(100);
        wait_until("its reader has read", || reader.lines() > so_far);
        let mut read = reader.die();
        remove(&socket);
        let so_far = connect(100);
        running.wait_until_said(&to_socket);
        let reader = reader_for(who, &socket);
        let missing = so_far.saturating_sub(lines_in(&read));
        wait_until("its reader has caught up", || reader.lines() > missing);

        // The file is renamed, and a new one asked for.
        fs::rename(&log, scene.path("log.old")).unwrap();
        running.signal(Signal::SIGHUP);
        connect(1);
        wait_until("a new file", || log.exists());

        // It is rotated by its size, once it is old enough.
        wait_until("a generation", || {
            connect(1);
            scene.path("rotated.1").exists()
        });

        // Where it stands is written down, and if the file is gone it is made again.
        let state = scene.path(".log.state");
        fs::remove_file(&state).unwrap();
        wait_until("its state", || {
            connect(1);
            fs::read(&state).is_ok_and(|line| line.starts_with(b"{"))
        });

        // There is a reason to attach more.
        let _ring = IoUring::new(4).unwrap();
        follows_io(&running);

        // The counters of the kernel side are still read: a heartbeat knows of all that was made.
        let expected = connect(100);
        let beat = || {
            let text = fs::read(&log).unwrap();
            let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
            records(&text[..whole]).into_iter().rfind(|record| record["event"] == "heartbeat")
        };
        let expected = u64::try_from(expected).unwrap();
        wait_until("a heartbeat", || {
            beat().is_some_and(|beat| number(&beat, "written") >= expected)
        });

        powerless(&running);
        running.stop();
        assert!(fs::read_to_string(&state).unwrap().contains("\"stopped\":\"interrupted\""));
        read.extend(reader.until("\"event\":\"stop\""));
        let (by_socket, _) = Log::runs(&read).remove(0).without_doubles();
        by_socket.check(&to_socket);
        let mut whole = fs::read(scene.path("log.old")).unwrap();
        whole.extend(fs::read(&log).unwrap());
        let whole = Log::runs(&whole).remove(0);
        whole.check(&to_log);
        let stop = whole.stop();
        assert_eq!(number(stop, "written"), expected, "{who:?}: {stop}");
        assert_eq!(number(stop, "lost"), 0, "{who:?}: {stop}");
    }
}

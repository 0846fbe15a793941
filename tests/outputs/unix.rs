//! UNIX stream sockets: readers that are absent, stall, die, come back, and hang up at a line.

use std::fs;
use std::fs::Permissions;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use crate::log::Log;
use crate::log::number;
use crate::log::records;
use crate::namespace::v4;
use crate::reader::Reader;
use crate::reader::lines_in;
use crate::reader::remove;
use crate::scene::EVENTS_EACH;
use crate::scene::Scene;
use crate::scene::created;
use crate::scene::wait_until;

/// The last record.
const STOP: &str = "\"event\":\"stop\"";

/// The option for a socket in the scene's folder, and the output's name.
fn unix(scene: &Scene, options: &str) -> (String, String) {
    let output = format!("unix:{}", scene.path("socket").display());
    (format!("{output}{options}"), output)
}

/// The one run that a reader got, or several readers one after the other.
fn log(got: &[u8]) -> Log {
    let mut runs = Log::runs(got);
    assert_eq!(runs.len(), 1);
    runs.remove(0)
}

#[test]
fn everything_arrives_once() {
    let Some(scene) = Scene::set() else { return };
    for options in ["", ",send-buffer=1"] {
        let (option, output) = unix(&scene, options);
        let reader = Reader::at(&scene.path("socket"));
        let running = scene.start(&["-o", &option]);
        scene.connect(300);
        running.stop();
        let log = log(&reader.until(STOP));
        log.check(&output);
        assert!(log.events().count() >= 300 * EVENTS_EACH);
        assert_eq!(log.lost(), 0);
        remove(&scene.path("socket"));
    }
}

#[test]
fn a_reader_that_comes_late_gets_everything() {
    let Some(scene) = Scene::set() else { return };
    let (option, output) = unix(&scene, "");
    let path = scene.path("socket");
    let full = scene.path("full");
    for wrong in ["there is no such socket", "nobody listens"] {
        let mut running = scene.start_into(created(&full), &["-o", &option, "-o", "stdout"]);
        running.wait_until_said(wrong);
        scene.connect(100);
        // The one that is not there delays nobody.
        wait_until("the other output has them", || {
            lines_in(&fs::read(&full).expect("a file")) >= 100 * EVENTS_EACH
        });
        if path.exists() {
            remove(&path);
        }
        let reader = Reader::at(&path);
        running.wait_until_said("its reader is there");
        assert_eq!(running.times_said(wrong), 1, "{}", running.said());
        running.stop();
        let log = log(&reader.until(STOP));
        log.check(&output);
        assert_eq!(log.lost(), 0);
        Log::read(&full).check("stdout");
        // Its file stays, for the next one.
    }
}

#[test]
fn nobody_comes_until_the_end() {
    let Some(scene) = Scene::set() else { return };
    let (option, output) = unix(&scene, "");
    let running = scene.start(&["-o", &option]);
    scene.connect(1);
    let said = running.stop_in_vain();
    assert!(said.contains(&format!("cannot write to {output}: there is no such socket")), "{said}");
}

#[test]
fn no_more_connections_than_it_takes() {
    let Some(scene) = Scene::set() else { return };
    let (option, output) = unix(&scene, "");
    let path = scene.path("socket");
    let address = rustix::net::SocketAddrUnix::new(&path).expect("an address");
    let listener = rustix::net::socket(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::STREAM,
        None,
    )
    .expect("a socket");
    rustix::net::bind(&listener, &address).expect("a path");
    rustix::net::listen(&listener, 0).expect("it listens");
    let other = std::os::unix::net::UnixStream::connect(&path).expect("the one place");
    let mut running = scene.start(&["-o", &option]);
    running.wait_until_said("takes no more connections");
    scene.connect(50);
    let listener = UnixListener::from(listener);
    drop(listener.accept().expect("the other one"));
    let (mut stream, _) = listener.accept().expect("a connection");
    drop(other);
    running.stop();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).expect("all of it");
    let log = log(&got);
    log.check(&output);
    assert_eq!(log.lost(), 0);
}

#[test]
fn one_that_stalls_goes_without_and_delays_nobody() {
    let Some(scene) = Scene::set() else { return };
    let (option, output) = unix(&scene, ",queue=256");
    let reader = Reader::at(&scene.path("socket"));
    let full = scene.path("full");
    let running = scene.start_into(created(&full), &["-o", &option, "-o", "stdout"]);
    reader.stall();
    scene.connect(800);
    let begun = Instant::now();
    wait_until("the other output has them", || {
        lines_in(&fs::read(&full).expect("a file")) >= 800 * EVENTS_EACH
    });
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    reader.resume();
    running.stop();
    let log = log(&reader.until(STOP));
    log.check(&output);
    assert!(log.lost_by("output_full") > 0);
    let complete = Log::read(&full);
    complete.check("stdout");
    assert_eq!(complete.lost(), 0);
}

#[test]
fn one_that_is_waited_for_loses_nothing() {
    let Some(scene) = Scene::set() else { return };
    let (option, output) = unix(&scene, ",queue=256,on-full=block");
    let reader = Reader::at(&scene.path("socket"));
    let running = scene.start(&["-o", &option]);
    reader.stall();
    scene.connect(800);
    reader.resume();
    running.stop();
    let log = log(&reader.until(STOP));
    log.check(&output);
    assert_eq!(log.lost(), 0);
}

#[test]
fn readers_that_die_one_after_the_other_miss_nothing() {
    let Some(scene) = Scene::set() else { return };
    for options in ["", ",send-buffer=1"] {
        let (option, output) = unix(&scene, options);
        let path = scene.path("socket");
        let mut reader = Reader::at(&path);
        let running = scene.start(&["-o", &option]);
        let load = scene.load(Duration::from_micros(300));
        let mut got = Vec::new();
        for stalls in [false, true, false, true, true] {
            let lines = reader.lines();
            wait_until("it gets something", || reader.lines() > lines + 50);
            if stalls {
                reader.stall();
                // So that something is unread when it dies.
                scene.connect(50);
            }
            got.extend(reader.die());
            remove(&path);
            reader = Reader::at(&path);
        }
        let lines = reader.lines();
        wait_until("the last one gets something", || reader.lines() > lines + 50);
        load.end();
        running.stop();
        got.extend(reader.until(STOP));
        let (log, doubles) = log(&got).without_doubles();
        log.check(&output);
        assert_eq!(log.lost(), 0);
        let resent = number(log.figures(&output), "resent");
        assert!(resent > 0, "what was unread must have been");
        assert!(resent >= doubles as u64, "{resent} sent again, {doubles} twice");
        remove(&path);
    }
}

#[test]
fn a_reader_that_returns_to_a_quiet_host_gets_nothing_twice() {
    let Some(scene) = Scene::set() else { return };
    let (option, output) = unix(&scene, "");
    let path = scene.path("socket");
    let reader = Reader::at(&path);
    let running = scene.start(&["-o", &option]);
    scene.connect(20);
    wait_until("it gets them", || reader.lines() >= 20 * EVENTS_EACH);
    // Time to do something with them.
    std::thread::sleep(Duration::from_millis(1200));
    let mut got = reader.die();
    remove(&path);
    let reader = Reader::at(&path);
    scene.connect(20);
    running.stop();
    got.extend(reader.until(STOP));
    let log = log(&got);
    log.check(&output);
    assert_eq!(log.lost(), 0);
    assert!(log.figures(&output).get("resent").is_none());
}

#[test]
fn a_line_at_which_it_hangs_up_is_given_up_and_told() {
    let Some(scene) = Scene::set() else { return };
    for options in ["", ",send-buffer=1"] {
        let (option, output) = unix(&scene, options);
        let path = scene.path("socket");
        let reader = Reader::listen(&path, |line| {
            line.contains("\"seq\":200,\"") && !line.contains("\"loss\"")
        });
        let mut running = scene.start(&["-o", &option]);
        scene.connect(200);
        wait_until("it gets all", || reader.lines() >= 200 * EVENTS_EACH);
        running.wait_until_said("the reader hung up");
        running.stop();
        let (log, _) = log(&reader.until(STOP)).without_doubles();
        log.check(&output);
        assert_eq!(log.lost(), 1);
        assert_eq!(log.lost_by("refused"), 1);
        let causes = &log.figures(&output)["causes"];
        assert_eq!(number(causes, "refused"), 1);
        remove(&path);
    }
}

#[test]
fn a_folder_without_permission_is_named_and_tried_again() {
    let Some(scene) = Scene::set() else { return };
    let (option, output) = unix(&scene, "");
    let reader = Reader::at(&scene.path("socket"));
    // Root could enter it, but for the capabilities that connledger gives up.
    std::os::unix::fs::chown(scene.folder(), Some(1234), Some(1234)).expect("chown");
    fs::set_permissions(scene.folder(), Permissions::from_mode(0o700)).expect("chmod");
    let mut running = scene.start(&["-o", &option]);
    running.wait_until_said("permission denied: user 0 needs");
    scene.connect(20);
    fs::set_permissions(scene.folder(), Permissions::from_mode(0o711)).expect("chmod");
    running.signal(nix::sys::signal::Signal::SIGHUP);
    running.wait_until_said("its reader is there");
    running.stop();
    let log = log(&reader.until(STOP));
    log.check(&output);
    assert_eq!(log.lost(), 0);
}

#[test]
fn a_file_in_its_place_is_named() {
    let Some(scene) = Scene::set() else { return };
    let (option, output) = unix(&scene, "");
    let path = scene.path("socket");
    let reader = Reader::at(&path);
    let mut running = scene.start(&["-o", &option]);
    wait_until("it begins", || reader.lines() > 0);
    let mut got = reader.die();
    remove(&path);
    fs::write(&path, "").expect("a file");
    scene.connect(20);
    running.wait_until_said("something else at this path");
    remove(&path);
    let reader = Reader::at(&path);
    running.wait_until_said("its reader is there");
    running.stop();
    got.extend(reader.until(STOP));
    let (log, _) = log(&got).without_doubles();
    log.check(&output);
    assert_eq!(log.lost(), 0);
}

#[test]
fn its_own_connections_are_left_out_if_wanted() {
    let Some(scene) = Scene::set() else { return };
    let (option, output) = unix(&scene, "");
    // Its process is this one.
    let reader = Reader::at(&scene.path("socket"));
    let running = scene.start(&["-o", &option, "--exclude-self"]);
    scene.connect(10);
    let listener = std::net::TcpListener::bind(v4()).expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port}");
    assert!(Command::new("bash").args(["-c", &script]).status().expect("bash").success());
    wait_until("it tells of somebody else", || {
        records(&reader.got()).iter().any(|record| record["event"] == "connect")
    });
    running.stop();
    let log = log(&reader.until(STOP));
    log.check(&output);
    let own = std::process::id();
    assert!(log.events().all(|event| event["process"]["pid"] != own), "{:?}", log.records);
    assert!(number(log.stop(), "filtered") >= 10);
}

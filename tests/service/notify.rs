//! What the service manager is told, and when.

use std::fs;
use std::io;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::PipeWriter;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use nix::sys::signal::Signal;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::time::ClockId;
use rustix::time::clock_gettime;

use crate::manager::Manager;
use crate::manager::managed;
use crate::namespace::v4;
use crate::scene::EVENTS_EACH;
use crate::scene::Running;
use crate::scene::Scene;
use crate::scene::wait_until;

const WATCHDOG: Duration = Duration::from_secs(12);

/// What connledger sends at half of the watchdog's time, with something to spare for a busy machine.
const BEAT: Duration = Duration::from_secs(6);
const LATE: Duration = Duration::from_secs(5);

#[test]
fn the_manager_hears_of_each_step_in_order() {
    let Some(scene) = Scene::set() else { return };
    let manager = Manager::listen(&scene.path("notify"));
    let log = scene.path("log");
    let mut command = scene.command(&["-o", &format!("file:{}", log.display())]);
    let mut running = Running::spawn(managed(&mut command, &scene.path("notify")));

    let word = manager.hear();
    assert_eq!(word.names(), ["READY", "STATUS"], "nobody watches: no WATCHDOG");
    assert_eq!(word.get("READY"), "1");
    // What other tests do is filtered.
    let status = word.get("STATUS");
    assert!(status.starts_with("tracing: observed "), "{status}");
    assert!(status.contains(", written 0, lost 0, filtered "), "{status}");
    running.wait_until_said("tracing");

    scene.connect(3);
    let before = monotonic();
    running.signal(Signal::SIGHUP);
    let word = manager.hear();
    assert_eq!(word.names(), ["RELOADING", "MONOTONIC_USEC"]);
    let told = Duration::from_micros(word.get("MONOTONIC_USEC").parse().unwrap());
    assert!(told + Duration::from_micros(1) > before && told <= monotonic(), "{told:?}");
    let word = manager.hear();
    assert_eq!(word.names(), ["READY", "STATUS"]);

    running.signal(Signal::SIGTERM);
    let word = manager.hear();
    assert_eq!(word.names(), ["STOPPING", "STATUS"]);
    assert!(running.wait().success());
    assert!(manager.hear_all().is_empty(), "that was the last word");
}

/// Whoever is awake for something else says it then: an idle collector is woken once in the time, not twice.
#[test]
fn the_watchdog_hears_in_time_and_not_much_more_often() {
    let Some(scene) = Scene::set() else { return };
    let manager = Manager::listen(&scene.path("notify"));
    let log = format!("file:{}", scene.path("log").display());
    let mut command = scene.command(&["-o", &log, "--heartbeat", "6"]);
    managed(&mut command, &scene.path("notify"));
    command.env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string());
    let running = Running::spawn(&mut command);

    assert_eq!(manager.hear().names(), ["READY", "WATCHDOG", "STATUS"]);
    let begun = Instant::now();
    for _ in 0..2 {
        let before = Instant::now();
        let word = manager.hear();
        assert_eq!(word.names(), ["WATCHDOG", "STATUS"]);
        assert!(before.elapsed() < BEAT + LATE, "{:?}", before.elapsed());
    }
    assert!(begun.elapsed() > BEAT, "each waits for half of its time at least");
    running.stop();
}

/// Another process's watchdog is none of ours.
#[test]
fn the_watchdog_may_watch_somebody_else() {
    let Some(scene) = Scene::set() else { return };
    let manager = Manager::listen(&scene.path("notify"));
    let mut command = scene.command(&["-o", &format!("file:{}", scene.path("log").display())]);
    managed(&mut command, &scene.path("notify"));
    command.env("WATCHDOG_USEC", "1000").env("WATCHDOG_PID", "1");
    let running = Running::spawn(&mut command);
    assert_eq!(manager.hear().names(), ["READY", "STATUS"]);
    running.stop();
    let words = manager.hear_all();
    assert_eq!(words.len(), 1, "{words:?}");
}

/// An output without a reader keeps a long list from being told. The start is given time, but not without end.
#[test]
fn a_long_start_asks_for_time() {
    let Some(scene) = Scene::set() else { return };
    let listener = TcpListener::bind(v4()).unwrap();
    let open: Vec<_> = (0..300)
        .map(|_| (TcpStream::connect(listener.local_addr().unwrap()).unwrap(), listener.accept()))
        .collect();
    let manager = Manager::listen(&scene.path("notify"));
    let socket = scene.path("reader");
    let output = format!("unix:{},on-full=block,queue=1", socket.display());
    let mut command = scene.command(&["-o", &output]);
    let running = Running::spawn(managed(&mut command, &scene.path("notify")));
    for _ in 0..2 {
        let word = manager.hear();
        assert_eq!(word.names(), ["EXTEND_TIMEOUT_USEC", "STATUS"]);
        assert_eq!(word.get("EXTEND_TIMEOUT_USEC"), "60000000");
        let status = word.get("STATUS");
        assert!(status.starts_with("tracing, and listing what is open: observed "), "{status}");
        let waiting = format!("; unix:{}: there is no such socket", socket.display());
        assert!(status.contains(&waiting), "{status}");
    }
    // That is no reload of what has not begun.
    running.signal(Signal::SIGHUP);
    // Tracing has begun: what waits for the service, as the host's start, does not wait for the reader.
    let mut word = manager.hear();
    while word.names()[0] == "EXTEND_TIMEOUT_USEC" {
        word = manager.hear();
    }
    assert_eq!(word.names(), ["READY", "STATUS"]);
    assert!(word.get("STATUS").contains("listing what is open: "), "{word:?}");
    let reader = UnixListener::bind(&socket).unwrap();
    thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let lines = BufReader::new(reader.accept().unwrap().0).lines();
            lines.map(Result::unwrap).filter(|line| line.contains(r#""event":"open""#)).count()
        });
        let word = manager.hear_news();
        assert_eq!(word.names(), ["READY", "STATUS"]);
        running.stop();
        assert!(reading.join().unwrap() >= 2 * open.len());
    });
    drop(open);
}

/// A manager that does not read holds up nobody.
#[test]
fn a_manager_that_hangs_is_not_waited_for() {
    let Some(scene) = Scene::set() else { return };
    let manager = Manager::listen(&scene.path("notify"));
    let log = scene.path("log");
    let mut command = scene.command(&["-o", &format!("file:{}", log.display())]);
    managed(&mut command, &scene.path("notify"));
    command.env("WATCHDOG_USEC", "20000");
    let mut running = Running::spawn(&mut command);
    let complaint = "warning: cannot tell the service manager how it stands: it does not read";
    running.wait_until_said(complaint);
    scene.connect(10);
    let said = running.stop();
    assert_eq!(said.matches(complaint).count(), 1, "once: {said}");
    // With the one that ends the server.
    let events = 11 * EVENTS_EACH;
    assert!(said.contains(&format!(" = written {events} + lost 0 + filtered ")), "{said}");
    let words = manager.hear_all();
    assert!(words.len() > 1, "{words:?}");
}

/// The watchdog waits for a second half only.
#[test]
fn what_did_not_get_there_is_said_again_soon() {
    let Some(scene) = Scene::set() else { return };
    let path = scene.path("notify");
    let manager = Manager::listen(&path);
    let log = format!("file:{}", scene.path("log").display());
    let mut command = scene.command(&["-o", &log]);
    managed(&mut command, &path);
    command.env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string());
    let mut running = Running::spawn(&mut command);
    manager.hear();

    let others = UnixDatagram::unbound().unwrap();
    others.set_nonblocking(true).unwrap();
    while others.send_to(b"STATUS=of somebody else", &path).is_ok() {}
    running.wait_until_said("cannot tell the service manager how it stands: it does not read");
    manager.hear_all();
    let room = Instant::now();
    assert_eq!(manager.hear().names(), ["WATCHDOG", "STATUS"]);
    assert!(room.elapsed() < BEAT / 2, "{:?}", room.elapsed());
    running.stop();
}

/// Who asks for a reload waits until the outputs have done it, but not for one that cannot.
#[test]
fn a_reload_is_over_when_the_outputs_have_done_it() {
    let Some(scene) = Scene::set() else { return };
    let manager = Manager::listen(&scene.path("notify"));
    let (unread, pipe) = io::pipe().unwrap();
    let log = scene.path("log");
    let file = format!("file:{}", log.display());
    let mut command = scene.command(&["-o", &file, "-o", "stdout"]);
    let stdout = pipe.try_clone().unwrap();
    let running = Running::spawn(managed(&mut command, &scene.path("notify")).stdout(stdout));
    manager.hear();

    fs::rename(&log, scene.path("old")).unwrap();
    running.signal(Signal::SIGHUP);
    assert_eq!(manager.hear().names(), ["RELOADING", "MONOTONIC_USEC"]);
    assert_eq!(manager.hear().names(), ["READY", "STATUS"]);
    assert!(log.exists(), "it was opened again before that was said");

    // More than a pipe holds. Once the file has all of it, what is left for the pipe waits for room.
    scene.connect(200);
    let lines = || fs::read_to_string(&log).unwrap().lines().count();
    wait_until("all events are in the file", || lines() >= 201 * EVENTS_EACH);
    wait_until("the pipe is full", || !is_writable(&pipe));
    let begun = Instant::now();
    running.signal(Signal::SIGHUP);
    assert_eq!(manager.hear().names(), ["RELOADING", "MONOTONIC_USEC"]);
    let word = manager.hear();
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(word.names(), ["READY", "STATUS"]);
    let status = word.get("STATUS");
    assert!(status.contains("; stdout: it has not reopened yet"), "{status}");
    // It closes a pipe that nobody reads.
    drop(unread);
    running.stop();
}

fn is_writable(pipe: &PipeWriter) -> bool {
    let at_once = Timespec::default();
    rustix::event::poll(&mut [PollFd::new(pipe, PollFlags::OUT)], Some(&at_once)).unwrap() > 0
}

fn monotonic() -> Duration {
    clock_gettime(ClockId::Monotonic).try_into().unwrap()
}

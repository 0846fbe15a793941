//! The end of a run in which one of several outputs is stuck or has failed: the others lose nothing by it.

use std::fs::OpenOptions;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::file::Target;
use crate::scene::EVENTS_EACH;
use crate::scene::Running;
use crate::scene::Scene;
use crate::scene::wait_until;

/// The time for last writes, and as much again for a busy machine.
const SOON: Duration = Duration::from_secs(10);

const CONNECTIONS: usize = 500;

/// The last connection says that it is the last.
const EVENTS: usize = (CONNECTIONS + 1) * EVENTS_EACH;

#[test]
fn what_waits_in_the_ring_for_a_stuck_output_reaches_the_others() {
    let Some(scene) = Scene::set() else { return };
    let target = Target::new(&scene, "log");
    let absent = format!("unix:{}", scene.path("absent").display());
    let blocks = format!("{absent},on-full=block,queue=10");
    let running = scene.start(&["-o", &blocks, "-o", &target.name]);
    scene.connect(CONNECTIONS);
    let said = running.stop_in_vain();
    let log = target.checked();
    assert_eq!(log.events().count(), EVENTS);
    assert_eq!(log.figures(&absent)["in_flight"], EVENTS);
    assert_eq!(said.matches("cannot write to").count(), 1, "{said}");
    assert!(said.contains("there is no such socket"), "{said}");
    assert!(said.contains(&format!("it lacks {EVENTS} events")), "{said}");
}

#[test]
fn an_absent_reader_is_named_even_if_there_was_nothing_to_tell() {
    let Some(scene) = Scene::set() else { return };
    let absent = format!("unix:{}", scene.path("absent").display());
    let said = scene.start(&["-o", &absent]).stop_in_vain();
    assert!(said.contains("cannot write to unix:"), "{said}");
    assert_eq!(
        said.matches("there is no such socket").count(),
        2,
        "at the begin and at the end: {said}"
    );
}

#[test]
fn an_output_that_fails_is_named_at_once() {
    let Some(scene) = Scene::set() else { return };
    let target = Target::new(&scene, "log");
    let full = OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let args = ["-o", "stdout", "-o", &target.name];
    let mut running = Running::spawn(scene.command(&args).stdout(Stdio::from(full)));
    running.wait_until_said("cannot write to stdout: No space left on device");
    running.wait_until_said("tracing; Ctrl-C stops");
    scene.connect(10);
    let begun = Instant::now();
    running.stop_in_vain();
    assert!(begun.elapsed() < SOON);
    assert_eq!(target.checked().events().count(), 11 * EVENTS_EACH);
}

#[test]
fn a_terminal_that_goes_does_not_end_what_was_started_to_outlive_it() {
    let Some(scene) = Scene::set() else { return };
    let log = scene.path("log");
    let command = scene.command(&[]);
    let mut nohup = std::process::Command::new("nohup");
    nohup.arg(command.get_program()).args(command.get_args());
    let mut running = Running::spawn(nohup.stdout(crate::scene::created(&log)));
    running.wait_until_said("tracing; Ctrl-C stops");
    running.signal(Signal::SIGHUP);
    scene.connect(10);
    wait_until("it goes on", || {
        std::fs::read_to_string(&log)
            .is_ok_and(|log| log.matches("\"event\":\"close\"").count() == 22)
    });
    running.stop();
}

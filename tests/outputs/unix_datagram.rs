//! UNIX datagram sockets: readers that are absent, stall, die and come back.

use crate::log::Log;
use crate::log::number;
use crate::reader::Reader;
use crate::reader::remove;
use crate::scene::EVENTS_EACH;
use crate::scene::Scene;
use crate::scene::wait_until;

/// The last record.
const STOP: &str = "\"event\":\"stop\"";

/// The option for a socket in the scene's folder, and the output's name.
fn datagrams(scene: &Scene, options: &str) -> (String, String) {
    let output = format!("unix-dgram:{}", scene.path("socket").display());
    (format!("{output}{options}"), output)
}

fn log(got: &[u8]) -> Log {
    let mut runs = Log::runs(got);
    assert_eq!(runs.len(), 1);
    runs.remove(0)
}

#[test]
fn a_record_a_datagram() {
    let Some(scene) = Scene::set() else { return };
    let (option, output) = datagrams(&scene, "");
    let reader = Reader::of_datagrams(&scene.path("socket"));
    let running = scene.start(&["-o", &option]);
    scene.connect(300);
    running.stop();
    let log = log(&reader.until(STOP));
    log.check(&output);
    assert!(log.events().count() >= 300 * EVENTS_EACH);
    assert_eq!(log.lost(), 0);
}

#[test]
fn a_reader_that_comes_late_goes_and_returns() {
    let Some(scene) = Scene::set() else { return };
    let (option, output) = datagrams(&scene, "");
    let path = scene.path("socket");
    let mut running = scene.start(&["-o", &option]);
    running.wait_until_said("there is no such socket");
    scene.connect(50);
    let reader = Reader::of_datagrams(&path);
    running.wait_until_said("its reader is there");
    wait_until("it has all", || reader.lines() >= 50 * EVENTS_EACH);
    let mut got = reader.die();
    scene.connect(50);
    running.wait_until_said("nobody listens");
    remove(&path);
    let reader = Reader::of_datagrams(&path);
    running.stop();
    got.extend(reader.until(STOP));
    let log = log(&got);
    log.check(&output);
    assert_eq!(log.lost(), 0);
}

#[test]
fn one_that_stalls_goes_without() {
    let Some(scene) = Scene::set() else { return };
    let (option, output) = datagrams(&scene, ",queue=256");
    let reader = Reader::of_datagrams(&scene.path("socket"));
    let running = scene.start(&["-o", &option]);
    reader.stall();
    scene.connect(300);
    reader.resume();
    running.stop();
    let log = log(&reader.until(STOP));
    log.check(&output);
    assert!(log.lost_by("output_full") > 0);
}

#[test]
fn what_dies_while_it_is_waited_for_is_replaced() {
    let Some(scene) = Scene::set() else { return };
    let (option, output) = datagrams(&scene, "");
    let path = scene.path("socket");
    let reader = Reader::of_datagrams(&path);
    let running = scene.start(&["-o", &option]);
    reader.stall();
    scene.connect(100);
    // What is in its queue goes with it.
    reader.wait_for_unread();
    let mut got = reader.die();
    remove(&path);
    let reader = Reader::of_datagrams(&path);
    running.stop();
    got.extend(reader.until(STOP));
    let log = log(&got);
    let gone = number(log.figures(&output), "written") - log.events().count() as u64;
    assert!((1..=64).contains(&gone), "{gone} events were in its queue");
}

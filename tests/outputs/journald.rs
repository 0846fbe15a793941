//! The journal: what comes back out of a real journald, by journalctl; and journald stopped, killed, and not there.

mod catalog;
mod service;
mod stream;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use self::service::Service;
use crate::log::Log;
use crate::scene::EVENTS_EACH;
use crate::scene::Scene;
use crate::scene::wait_until;

/// A namespace and a journald; none where there cannot be any.
fn set() -> Option<(Scene, Service)> {
    Some((Scene::set()?, Service::started()?))
}

/// The option for a file beside the journal, and its path.
fn beside(scene: &Scene) -> (String, std::path::PathBuf) {
    let path = scene.path("beside.ndjson");
    (format!("file:{}", path.display()), path)
}

/// How many lines a file has.
fn lines(path: &Path) -> usize {
    fs::read_to_string(path).unwrap_or_default().matches('\n').count()
}

/// But for the field that names the output, both streams say the same.
fn assert_same(journal: &Log, file: &Log) {
    let without_output = |log: &Log| -> Vec<Value> {
        let mut records = log.records.clone();
        for record in records.iter_mut().filter_map(Value::as_object_mut) {
            record.remove("output");
            record.remove("outputs");
        }
        records
    };
    let (journal, file) = (without_output(journal), without_output(file));
    for (ours, theirs) in journal.iter().zip(&file) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(journal.len(), file.len());
}

#[test]
fn fifty_thousand_records() {
    const CONNECTIONS: usize = 50_000 / EVENTS_EACH;
    let Some((scene, service)) = set() else { return };
    let (file, path) = beside(&scene);
    let output = service.output();
    let running = scene.start(&["-o", &file, "-o", &format!("{output},on-full=block")]);
    scene.connect(CONNECTIONS);
    // How long that takes is journald's business; the program would wait for a few seconds.
    wait_until("all events are in the file", || lines(&path) >= CONNECTIONS * EVENTS_EACH + 2);
    service.wait_for(&format!("CONNLEDGER_SEQ={}", lines(&path)));
    running.stop();
    service.wait_for_stop();
    let journal = Log { records: service.records() };
    journal.check(&output);
    assert!(journal.events().count() >= CONNECTIONS * EVENTS_EACH);
    assert_eq!(journal.lost(), 0);
    assert_same(&journal, &Log::read(&path));
}

#[test]
fn journald_stopped_and_resumed() {
    let Some((scene, service)) = set() else { return };
    let (file, path) = beside(&scene);
    let output = service.output();
    let running = scene.start(&["-o", &file, "-o", &format!("{output},queue=256")]);
    service.signal(Signal::SIGSTOP);
    scene.connect(500);
    wait_until("the other output is not kept", || lines(&path) >= 500 * EVENTS_EACH + 2);
    service.signal(Signal::SIGCONT);
    service.wait_for("CONNLEDGER_EVENT=loss");
    scene.connect(1);
    running.stop();
    service.wait_for_stop();
    let journal = Log { records: service.records() };
    journal.check(&output);
    assert!(journal.lost_by("output_full") > 0);
    let file = Log::read(&path);
    assert_eq!(file.lost(), 0);
    assert_eq!(journal.events().count() as u64 + journal.lost(), file.events().count() as u64);
}

#[test]
fn journald_killed_and_restarted() {
    let Some((scene, mut service)) = set() else { return };
    let (file, path) = beside(&scene);
    let output = service.output();
    let mut running = scene.start(&["-o", &file, "-o", &output]);
    let load = scene.load(Duration::from_millis(1));
    for times in 1..=3 {
        let before = lines(&path);
        wait_until("there is something to lose", || lines(&path) > before + 100);
        service.kill();
        running.wait_until_said("nobody listens at the socket");
        // Stays away for a while.
        thread::sleep(Duration::from_millis(300));
        service.start();
        wait_until("it is found again", || running.times_said("its reader is there") == times);
    }
    load.end();
    let said = running.stop();
    service.wait_for_stop();
    let (journal, doubles) = Log { records: service.records() }.without_doubles();
    journal.check(&output);
    assert_eq!(journal.lost(), 0, "{said}");
    let resent = journal.figures(&output)["resent"].as_u64().unwrap_or(0);
    assert!(resent >= doubles as u64, "{doubles} doubles, {resent} sent again");
    assert_same(&journal, &Log::read(&path));
}

#[test]
fn a_restart_that_nobody_sees() {
    let Some((scene, mut service)) = set() else { return };
    let (file, path) = beside(&scene);
    let output = service.output();
    let running = scene.start(&["-o", &file, "-o", &output]);
    service.wait_for("CONNLEDGER_EVENT=ready");
    // Few enough to lie in its queue, unread.
    service.signal(Signal::SIGSTOP);
    scene.connect(1);
    wait_until("they are in the file", || lines(&path) >= EVENTS_EACH + 2);
    service.kill();
    service.start();
    scene.connect(1);
    running.stop();
    service.wait_for_stop();
    let (journal, _) = Log { records: service.records() }.without_doubles();
    journal.check(&output);
    assert_same(&journal, &Log::read(&path));
}

#[test]
fn absent_at_start() {
    let Some(scene) = Scene::set() else { return };
    let Some(mut service) = Service::prepared() else { return };
    let (file, path) = beside(&scene);
    let output = service.output();
    let mut running = scene.start(&["-o", &file, "-o", &output]);
    running.wait_until_said("there is no such socket");
    scene.connect(100);
    service.start();
    running.wait_until_said("its reader is there");
    let said = running.stop();
    assert_eq!(said.matches("no such socket").count(), 1, "it is said once: {said}");
    service.wait_for_stop();
    let journal = Log { records: service.records() };
    journal.check(&output);
    assert_same(&journal, &Log::read(&path));
}

#[test]
fn stopped_to_the_end() {
    let Some((scene, service)) = set() else { return };
    let (file, path) = beside(&scene);
    let output = service.output();
    let running = scene.start(&["-o", &file, "-o", &output]);
    service.wait_for("CONNLEDGER_EVENT=ready");
    service.signal(Signal::SIGSTOP);
    scene.connect(500);
    wait_until("the other output is not kept", || lines(&path) >= 500 * EVENTS_EACH + 2);
    let said = running.stop_in_vain();
    assert!(said.contains(&format!("cannot write to {output}: journald does not read; it lacks")));
    Log::read(&path).check_numbers();
}

#[test]
fn absent_to_the_end() {
    let Some(scene) = Scene::set() else { return };
    let Some(service) = Service::prepared() else { return };
    let (file, path) = beside(&scene);
    let output = service.output();
    let mut running = scene.start(&["-o", &file, "-o", &output]);
    running.wait_until_said("there is no such socket");
    scene.connect(10);
    let said = running.stop_in_vain();
    let file = Log::read(&path);
    let figures = file.figures(&output);
    assert_eq!(figures["written"], 0, "{figures}");
    let count = file.events().count();
    assert!(said.contains(&format!("it lacks {count} events")), "{said}");
}

//! Where a run is remembered, and what may happen to that place.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::beside;
use super::remembered;
use super::run_once;
use super::runs;
use super::verify;
use super::wait_for_progress;
use super::wait_for_record;
use crate::file::Target;
use crate::file::full::Disk;
use crate::log::number;
use crate::scene::Running;
use crate::scene::Scene;
use crate::scene::wait_until;

#[test]
fn it_lies_hidden_beside_the_first_file() {
    let Some(scene) = Scene::set() else { return };
    let (first, second) = (Target::new(&scene, "first"), Target::new(&scene, "second"));
    run_once(&scene, &["-o", "stdout", "-o", &first.name, "-o", &second.name]);
    let mut names: Vec<String> = fs::read_dir(scene.folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, [".first.state", "first", "second"]);
    assert_eq!(fs::metadata(beside(&first)).unwrap().mode() & 0o7777, 0o640);
    // Without a file there is none.
    run_once(&scene, &["-o", "stdout"]);
    assert_eq!(fs::read_dir(scene.folder()).unwrap().count(), 3);
}

#[test]
fn none_is_none() {
    let Some(scene) = Scene::set() else { return };
    let target = Target::new(&scene, "log");
    for _ in 0..2 {
        run_once(&scene, &["-o", &target.name, "--state", "none"]);
    }
    assert!(!beside(&target).exists());
    assert!(runs(&target).1.is_null());
    assert_eq!(verify(&[&target.path]).0, Some(0));
}

#[test]
fn a_service_has_a_directory_for_it() {
    let Some(scene) = Scene::set() else { return };
    let target = Target::new(&scene, "log");
    for name in ["one", "two"] {
        fs::create_dir(scene.path(name)).unwrap();
    }
    let directories = format!("{}:{}", scene.path("one").display(), scene.path("two").display());
    for _ in 0..2 {
        let mut command = scene.command(&["-o", &target.name]);
        command.env("STATE_DIRECTORY", &directories).stdout(Stdio::null());
        let mut running = Running::spawn(&mut command);
        running.wait_until_said("tracing; Ctrl-C stops");
        running.stop();
    }
    let (runs, previous) = runs(&target);
    assert_eq!(previous["run"], *runs[0].run());
    assert_eq!(remembered(&scene.path("one/run.json"))["run"], *runs[1].run());
    assert!(!beside(&target).exists() && !scene.path("two/run.json").exists());
}

#[test]
fn what_is_damaged_is_told_and_begun_anew() {
    let Some(scene) = Scene::set() else { return };
    let target = Target::new(&scene, "log");
    run_once(&scene, &["-o", &target.name]);
    let state = beside(&target);
    // A power cut has torn it.
    let mut line = fs::read(&state).unwrap();
    line[100..].fill(0);
    fs::write(&state, line).unwrap();
    let said = run_once(&scene, &["-o", &target.name]);
    let warning = format!("warning: the state in {} is damaged", state.display());
    assert!(said.contains(&warning), "{said}");
    assert!(runs(&target).1.is_null());
    // From there on it is whole again.
    let said = run_once(&scene, &["-o", &target.name]);
    assert!(!said.contains("warning"), "{said}");
    let (runs, previous) = runs(&target);
    assert_eq!(previous["run"], *runs[1].run());
}

#[test]
fn where_nothing_can_be_written_it_goes_on_unless_it_was_asked_for() {
    let Some(scene) = Scene::set() else { return };
    let target = Target::new(&scene, "log");
    let disk = Disk::mount(scene.path("disk"), "64k");
    disk.make_read_only();
    let mut command = scene.command(&["-o", &target.name]);
    command.env("STATE_DIRECTORY", scene.path("disk")).stdout(Stdio::null());
    let mut running = Running::spawn(&mut command);
    running.wait_until_said("tracing; Ctrl-C stops");
    scene.connect(5);
    let said = running.stop();
    assert!(said.contains("warning: cannot keep the state in"), "{said}");
    assert!(said.contains("Read-only file system"), "{said}");
    assert_eq!(verify(&[&target.path]).0, Some(0));

    let before = fs::read(&target.path).unwrap();
    let state = scene.path("disk/state").display().to_string();
    let said = scene.start_in_vain(&["-o", &target.name, "--state", &state]);
    assert!(said.contains(&format!("cannot keep the state in {state}: Read-only")), "{said}");
    let said = scene.start_in_vain(&["-o", &target.name, "--state", "/no/such/state"]);
    assert!(said.contains("there is no directory /no/such; make it first"), "{said}");
    assert_eq!(fs::read(&target.path).unwrap(), before, "nothing was begun");
}

/// Runs until its disk has been full for a while, and is killed.
fn run_into_the_full_disk(scene: &Scene, target: &Target) {
    let state = beside(target);
    let mut running = scene.start(&["-o", &target.name]);
    let load = scene.load(Duration::from_millis(1));
    running.wait_until_said("cannot write: No space left on device");
    let full = remembered(&state)["seq"].clone();
    wait_for_progress(&state, &full);
    running.kill();
    load.end();
}

/// The log stops at the full disk, what is remembered on it does not: and so it is known what the log lacks.
#[test]
fn a_full_disk_has_room_for_it() {
    let Some(scene) = Scene::set() else { return };
    let disk = Disk::mount(scene.path("disk"), "128k");
    let target = disk.file();
    let state = beside(&target);
    run_into_the_full_disk(&scene, &target);
    let given = number(&remembered(&state), "seq");
    disk.resize("64m");
    scene.start(&["-o", &target.name]).stop();

    let (code, report) = verify(&[&target.path]);
    assert_eq!(code, Some(1));
    let run = &report["runs"][0];
    assert_eq!(run["last_seq"], given, "{run:#}");
    let missing = number(&run["missing"], "records");
    // What was written, with the line that it stopped in, and what was not, are all that it had given.
    let records = number(run, "records") + run["lost"]["records"].as_u64().unwrap_or(0);
    assert_eq!(records + missing, given, "{run:#}");
    assert!(number(&run["missing"], "at_end") > 0, "{run:#}");
}

/// Restarted again and again on the full disk, none of them leaves a line: what the first one lacks is told all the same.
#[test]
fn runs_that_a_full_disk_leaves_without_a_line_hide_nothing() {
    const KILLS: u64 = 3;
    let Some(scene) = Scene::set() else { return };
    let disk = Disk::mount(scene.path("disk"), "128k");
    let target = disk.file();
    let state = beside(&target);
    run_into_the_full_disk(&scene, &target);
    let first = remembered(&state);
    assert!(first.get("before").is_none(), "{first}");
    for unwritten in 0..KILLS {
        let running = scene.start(&["-o", &target.name]);
        wait_for_record(&running, &state);
        running.kill();
        let before = &remembered(&state)["before"];
        for name in ["run", "seq", "until", "until_boot_ns", "boot_id"] {
            assert_eq!(before[name], first[name], "{before}");
        }
        assert_eq!(before["unwritten"], unwritten);
    }
    disk.resize("64m");
    let running = scene.start(&["-o", &target.name]);
    assert!(running.said().contains("; 3 begun since then ended before"), "{}", running.said());
    running.stop();

    let (code, report) = verify(&[&target.path]);
    assert_eq!(code, Some(1));
    let runs = report["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2, "{report:#}");
    assert_eq!(runs[0]["last_seq"], first["seq"], "{report:#}");
    assert!(number(&runs[0]["missing"], "at_end") > 0, "{report:#}");
    assert_eq!(
        (&runs[1]["follows"]["run"], &runs[1]["follows"]["unwritten"]),
        (&first["run"], &KILLS.into())
    );
}

#[test]
fn a_lock_of_somebody_else_is_not_taken_for_a_run() {
    let Some(scene) = Scene::set() else { return };
    let target = Target::new(&scene, "log");
    run_once(&scene, &["-o", &target.name]);
    let backup = fs::File::open(beside(&target)).unwrap();
    backup.lock_shared().unwrap();
    let said = scene.start_in_vain(&["-o", &target.name]);
    assert!(said.contains("another process holds its lock"), "{said}");
    drop(backup);
    run_once(&scene, &["-o", &target.name]);
}

#[test]
fn when_it_is_taken_away_it_is_made_again() {
    let Some(scene) = Scene::set() else { return };
    let target = Target::new(&scene, "log");
    let state = beside(&target);
    let mut running = scene.start(&["-o", &target.name]);
    let load = scene.load(Duration::from_millis(1));
    fs::remove_file(&state).unwrap();
    running.wait_until_said("was removed or replaced; it is made again");
    wait_until("it is there", || state.exists());
    // Somebody puts back an old one.
    fs::write(scene.path("old"), [b' '; 1024]).unwrap();
    fs::rename(scene.path("old"), &state).unwrap();
    wait_until("it is ours again", || fs::read(&state).unwrap().starts_with(b"{"));
    // Somebody puts his own file there.
    fs::write(scene.path("his"), "his").unwrap();
    fs::rename(scene.path("his"), &state).unwrap();
    running.wait_until_said("it holds something else, which is left as it is");
    assert_eq!(fs::read(&state).unwrap(), b"his");
    load.end();
    // At the end it is looked again.
    fs::remove_file(&state).unwrap();
    running.stop();
    run_once(&scene, &["-o", &target.name]);
    let (runs, previous) = runs(&target);
    assert_eq!((&previous["run"], &previous["seq"]), (runs[0].run(), &runs[0].stop()["seq"]));
}

#[test]
fn rotation_leaves_it_where_it_is() {
    let Some(scene) = Scene::set() else { return };
    let target = Target::new(&scene, "log");
    let state = beside(&target);
    let running = scene.start(&["-o", &target.with(",rotate=64KiB,keep=99")]);
    let file = fs::metadata(&state).unwrap().ino();
    let load = scene.load(Duration::from_millis(1));
    wait_until("it is rotated", || !target.generations().is_empty());
    running.signal(Signal::SIGHUP);
    load.end();
    running.stop();
    assert_eq!(fs::metadata(&state).unwrap().ino(), file);
    let log = target.checked();
    assert_eq!(remembered(&state)["seq"], log.stop()["seq"]);
}

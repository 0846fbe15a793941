//! Generations: all of them together are one whole log.

use std::fs;
use std::path::Path;
use std::time::Duration;
use std::time::SystemTime;

use super::Target;
use super::size;
use crate::log::records;
use crate::scene::Scene;
use crate::scene::wait_until;

/// A file lives at least so long; the kernel's clock for files ticks every few milliseconds.
const SHORTEST_LIFE: Duration = Duration::from_millis(4950);

/// Of some hundred connections a second: a rotation is not about speed.
const PAUSE: Duration = Duration::from_millis(1);

fn born(path: &Path) -> SystemTime {
    fs::metadata(path).expect("a generation").created().expect("a time of birth")
}

/// Whole lines, none of them a record.
fn old_lines(bytes: usize) -> String {
    "{\"old\":1}\n".repeat(bytes / 10)
}

#[test]
fn by_size_and_by_time_under_load() {
    let Some(scene) = Scene::set() else { return };
    let (sized, timed) = (Target::new(&scene, "sized"), Target::new(&scene, "timed"));
    let running = scene.start(&[
        "-o",
        &sized.with(",rotate=64KiB,keep=20"),
        "-o",
        &timed.with(",rotate-every=1s,keep=20"),
    ]);
    let load = scene.load(PAUSE);
    wait_until("three old generations", || {
        [&sized, &timed].iter().all(|target| target.generations().len() >= 3)
    });
    load.end();
    let said = running.stop();
    assert!(!said.contains("file:"), "nothing was wrong: {said}");
    for target in [&sized, &timed] {
        assert_eq!(target.checked().lost(), 0);
        let mut firsts = Vec::new();
        let mut births = Vec::new();
        for path in target.generations().iter().chain([&target.path]) {
            // Whole lines in every file.
            let first = records(&fs::read(path).unwrap()).swap_remove(0);
            firsts.push((first["run"].clone(), first["seq"].clone()));
            births.push(born(path));
        }
        for pair in births.windows(2) {
            assert!(pair[1].duration_since(pair[0]).expect("later") >= SHORTEST_LIFE, "{births:?}");
        }
        firsts.dedup();
        assert_eq!(firsts.len(), births.len(), "each first line is another");
    }
}

#[test]
fn the_oldest_generations_go() {
    let Some(scene) = Scene::set() else { return };
    let target = Target::new(&scene, "log");
    let old = old_lines(100 << 10);
    fs::write(&target.path, &old).unwrap();
    for number in 1..=4 {
        fs::write(scene.path(&format!("log.{number}")), format!("{number}\n")).unwrap();
    }
    // What was in the file before counts: the first line finds no room.
    let running = scene.start(&["-o", &target.with(",rotate=64KiB,keep=2")]);
    scene.connect(10);
    running.stop();
    super::one_run(&fs::read(&target.path).unwrap(), &target.name);
    assert_eq!(fs::read_to_string(scene.path("log.1")).unwrap(), old);
    assert_eq!(fs::read_to_string(scene.path("log.2")).unwrap(), "1\n");
    assert_eq!(target.generations().len(), 2);
    assert!(!scene.path("log.4").exists());
}

#[test]
fn an_old_file_is_rotated_by_its_age() {
    let Some(scene) = Scene::set() else { return };
    let target = Target::new(&scene, "log");
    fs::write(&target.path, old_lines(100)).unwrap();
    let born = born(&target.path);
    wait_until("a second has passed", || born.elapsed().unwrap() > Duration::from_secs(1));
    scene.start(&["-o", &target.with(",rotate-every=1s")]).stop();
    assert_eq!(fs::read_to_string(scene.path("log.1")).unwrap(), old_lines(100));
    super::one_run(&fs::read(&target.path).unwrap(), &target.name);
}

#[test]
fn a_rotation_that_fails_is_said_once_and_made_up_for() {
    let Some(scene) = Scene::set() else { return };
    let target = Target::new(&scene, "log");
    let obstacle = scene.path("log.1");
    fs::create_dir(&obstacle).unwrap();
    fs::write(obstacle.join("file"), "").unwrap();
    let mut running = scene.start(&["-o", &target.with(",rotate=64KiB,keep=1")]);
    let load = scene.load(PAUSE);
    running.wait_until_said("it cannot be rotated");
    let before = size(&target.path);
    wait_until("it grows on", || size(&target.path) > before + (64 << 10));
    fs::remove_dir_all(&obstacle).unwrap();
    wait_until("it is rotated", || obstacle.is_file());
    load.end();
    assert_eq!(running.times_said("it cannot be rotated"), 1);
    running.stop();
    assert_eq!(target.checked().lost(), 0);
}

//! Files and directories that somebody renames or removes.

use std::fs;
use std::fs::File;
use std::io::Read as _;
use std::io::Seek as _;
use std::io::SeekFrom;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Uid;

use super::Target;
use super::one_run;
use super::size;
use crate::log::Log;
use crate::scene::Scene;
use crate::scene::wait_until;

/// As fast as it goes.
const NO_PAUSE: Duration = Duration::ZERO;

const PAUSE: Duration = Duration::from_millis(1);

/// Renames the target's file; under its new name it is read later.
fn rename(scene: &Scene, target: &Target, number: usize) -> PathBuf {
    let renamed = scene.path(&format!("renamed-{number}"));
    fs::rename(&target.path, &renamed).unwrap();
    renamed
}

/// What stands in all these files, one after the other.
fn joined(files: &[PathBuf], last: &Target) -> Vec<u8> {
    files.iter().chain([&last.path]).flat_map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn renamed_and_told() {
    let Some(scene) = Scene::set() else { return };
    let target = Target::new(&scene, "log");
    let running = scene.start(&["-o", &target.name]);
    // Nothing happens, and yet there is a new file at once.
    let mut renamed = vec![rename(&scene, &target, 0)];
    running.signal(Signal::SIGHUP);
    wait_until("it is made again", || target.path.exists());
    let load = scene.load(NO_PAUSE);
    for number in 1..=20 {
        wait_until("it grows", || size(&target.path) > 0);
        renamed.push(rename(&scene, &target, number));
        running.signal(Signal::SIGHUP);
    }
    wait_until("it grows", || size(&target.path) > 0);
    // Where nothing was renamed nothing changes.
    running.signal(Signal::SIGHUP);
    load.end();
    let said = running.stop();
    assert!(!said.contains("file:"), "nothing was wrong: {said}");
    assert_eq!(one_run(&joined(&renamed, &target), &target.name).lost(), 0);
}

/// As logrotate's `create` does it, and `nocreate` without a signal.
#[test]
fn renamed_and_not_told() {
    let Some(scene) = Scene::set() else { return };
    let target = Target::new(&scene, "log");
    let running = scene.start(&["-o", &target.name]);
    let load = scene.load(PAUSE);
    let mut renamed = Vec::new();
    for number in 0..6 {
        wait_until("it grows", || size(&target.path) > 0);
        renamed.push(rename(&scene, &target, number));
        if number % 2 == 0 {
            // It leaves us some time to make it; not for ever.
            let _ = File::create_new(&target.path);
        }
    }
    wait_until("it grows", || size(&target.path) > 0);
    load.end();
    running.stop();
    assert_eq!(one_run(&joined(&renamed, &target), &target.name).lost(), 0);
}

#[test]
fn removed() {
    let Some(scene) = Scene::set() else { return };
    let target = Target::new(&scene, "log");
    let mut running = scene.start(&["-o", &target.name]);
    let load = scene.load(NO_PAUSE);
    // What was written to a file that had been removed, and all that was written.
    let (mut late, mut all) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        wait_until("it grows", || size(&target.path) > 0);
        let mut removed = File::open(&target.path).unwrap();
        fs::remove_file(&target.path).unwrap();
        let until = removed.metadata().unwrap().len();
        wait_until("it is made again", || size(&target.path) > 0);
        removed.seek(SeekFrom::Start(until)).unwrap();
        let mut rest = Vec::new();
        removed.read_to_end(&mut rest).unwrap();
        late.push((rest, all.len()));
        removed.seek(SeekFrom::Start(0)).unwrap();
        removed.read_to_end(&mut all).unwrap();
    }
    running.wait_until_said("the file was gone");
    load.end();
    running.stop();
    // Each of them stands in the next file too.
    all.extend(fs::read(&target.path).unwrap());
    for (rest, begin) in late {
        let found = all[begin..].windows(rest.len().max(1)).filter(|&window| window == rest);
        assert!(rest.is_empty() || found.count() >= 2, "{} bytes are lost", rest.len());
    }
    let (log, doubles) = Log::runs(&all).remove(0).without_doubles();
    log.check(&target.name);
    let resent = log.figures(&target.name).get("resent").map_or(0, |n| n.as_u64().unwrap());
    assert_eq!(resent, doubles as u64);
}

#[test]
fn with_its_directory() {
    let Some(scene) = Scene::set() else { return };
    let directory = scene.path("a");
    let target = Target::at(directory.join("b").join("log"));
    fs::create_dir_all(target.path.parent().unwrap()).unwrap();
    let mut running = scene.start(&["-o", &target.name]);
    let load = scene.load(PAUSE);
    let mut first = File::open(&target.path).unwrap();
    wait_until("it grows", || size(&target.path) > 0);
    fs::rename(&directory, scene.path("old")).unwrap();
    fs::remove_dir_all(scene.path("old")).unwrap();
    wait_until("it is made again", || size(&target.path) > 0);
    running.wait_until_said("the directory was gone; it is made again");
    load.end();
    running.stop();
    let mode = fs::metadata(target.path.parent().unwrap()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o750);
    let mut all = Vec::new();
    first.read_to_end(&mut all).unwrap();
    all.extend(fs::read(&target.path).unwrap());
    let (log, _) = Log::runs(&all).remove(0).without_doubles();
    log.check(&target.name);
}

/// Root without capabilities may not write to another user's directory.
#[test]
fn renamed_where_no_new_one_can_be_made() {
    let Some(scene) = Scene::set() else { return };
    let directory = scene.path("theirs");
    fs::create_dir(&directory).unwrap();
    let owner = |uid| nix::unistd::chown(&directory, Some(Uid::from_raw(uid)), None).unwrap();
    owner(65534);
    let target = Target::at(directory.join("log"));
    let mut running = scene.start(&["-o", &target.name]);
    running.wait_until_said("warning: once renamed or removed, the file cannot be made again: ");
    let load = scene.load(PAUSE);
    wait_until("it grows", || size(&target.path) > 0);
    let renamed = rename(&scene, &target, 0);
    running.wait_until_said("there can be no new one");
    let before = size(&renamed);
    wait_until("it goes on there", || size(&renamed) > before);
    owner(0);
    running.signal(Signal::SIGHUP);
    wait_until("it is made again", || size(&target.path) > 0);
    load.end();
    running.stop();
    assert_eq!(one_run(&joined(&[renamed], &target), &target.name).lost(), 0);
}

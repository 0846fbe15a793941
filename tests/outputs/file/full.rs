//! Disks without room, and files that may not grow.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::mount::MntFlags;
use nix::mount::MsFlags;

use super::Target;
use super::one_run;
use super::size;
use crate::log::Log;
use crate::scene::Running;
use crate::scene::Scene;
use crate::scene::created;
use crate::scene::wait_until;

const PAUSE: Duration = Duration::from_millis(1);

/// A small file system of its own.
pub struct Disk(PathBuf);

impl Disk {
    /// Mounts it.
    pub fn mount(path: PathBuf, size: &str) -> Self {
        fs::create_dir(&path).unwrap();
        let disk = Self(path);
        disk.set(size, MsFlags::empty());
        disk
    }

    /// Makes it larger.
    pub fn resize(&self, size: &str) {
        self.set(size, MsFlags::MS_REMOUNT);
    }

    /// Nothing more can be written to it.
    pub fn make_read_only(&self) {
        self.set("64k", MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY);
    }

    fn set(&self, size: &str, flags: MsFlags) {
        let options = format!("size={size}");
        nix::mount::mount(Some("tmpfs"), &self.0, Some("tmpfs"), flags, Some(options.as_str()))
            .expect("tmpfs");
    }

    /// A file on it.
    pub fn file(&self) -> Target {
        Target::at(self.0.join("log"))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

/// Once, and what was wrong.
fn assert_said_once(running: &Running, text: &str) {
    assert_eq!(running.times_said(text), 1, "{}", running.said());
}

#[test]
fn one_that_blocks_loses_nothing() {
    let Some(scene) = Scene::set() else { return };
    let disk = Disk::mount(scene.path("disk"), "256k");
    let target = disk.file();
    let mut running = scene.start(&["-o", &target.name]);
    let load = scene.load(PAUSE);
    running.wait_until_said("cannot write: No space left on device");
    let full = size(&target.path);
    // Long enough for many attempts.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(size(&target.path), full);
    disk.resize("64m");
    running.wait_until_said("goes on after");
    load.end();
    assert_said_once(&running, "cannot write");
    running.stop();
    // Whole lines, in spite of the one that it stopped in.
    let log = target.checked();
    assert_eq!(log.lost(), log.lost_by("ring_full"));
}

#[test]
fn one_that_drops_delays_nobody() {
    let Some(scene) = Scene::set() else { return };
    let disk = Disk::mount(scene.path("disk"), "256k");
    let (target, stdout) = (disk.file(), scene.path("stdout"));
    let mut running = scene.start_into(
        created(&stdout),
        &["-o", "stdout", "-o", &target.with(",on-full=drop,queue=500")],
    );
    let load = scene.load(PAUSE);
    running.wait_until_said("cannot write: No space left on device");
    running.wait_until_said("events lost: the output's queue was full");
    let before = size(&stdout);
    wait_until("standard output goes on", || size(&stdout) > before + (1 << 20));
    disk.resize("64m");
    running.wait_until_said("goes on after");
    let loss = || Log::runs(&whole_lines(&target.path)).remove(0).lost_by("output_full") > 0;
    wait_until("the loss is told as soon as there is room", loss);
    load.end();
    running.stop();
    let log = target.checked();
    assert!(log.lost_by("output_full") > 0);
    let other = Log::read(&stdout);
    other.check("stdout");
    assert_eq!(other.lost(), 0);
    let events = other.events().count();
    assert_eq!(log.events().count() as u64 + log.lost(), events as u64);
}

/// What stands in a file that is being written.
fn whole_lines(path: &Path) -> Vec<u8> {
    let mut bytes = fs::read(path).unwrap();
    let end = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
    bytes.truncate(end);
    bytes
}

/// An operator makes room by moving the log away: the line that it stopped in stands whole in the new one.
#[test]
fn the_log_itself_is_moved_away() {
    let Some(scene) = Scene::set() else { return };
    let disk = Disk::mount(scene.path("disk"), "256k");
    let target = disk.file();
    let mut running = scene.start(&["-o", &target.name]);
    let load = scene.load(PAUSE);
    running.wait_until_said("cannot write: No space left on device");
    let old = scene.path("old");
    fs::copy(&target.path, &old).unwrap();
    fs::remove_file(&target.path).unwrap();
    running.wait_until_said("goes on after");
    load.end();
    disk.resize("64m");
    running.stop();
    let mut all = whole_lines(&old);
    all.extend(whole_lines(&target.path));
    let (log, _) = Log::runs(&all).remove(0).without_doubles();
    log.check(&target.name);
}

#[test]
fn the_end_of_a_run_is_not_waited_for_for_ever() {
    let Some(scene) = Scene::set() else { return };
    let disk = Disk::mount(scene.path("disk"), "128k");
    let target = disk.file();
    let mut running = scene.start(&["-o", &target.name]);
    let load = scene.load(PAUSE);
    running.wait_until_said("cannot write: No space left on device");
    load.end();
    let said = running.stop_in_vain();
    assert!(said.contains(&format!("cannot write to {}: No space left", target.name)), "{said}");
    assert!(said.contains("it lacks"), "{said}");
    let first = fs::read(&target.path).unwrap();
    let whole = whole_lines(&target.path);
    assert_eq!(first.len(), whole.len(), "no torn line stays");
    Log::runs(&whole)[0].check_numbers();
    disk.resize("64m");
    scene.start(&["-o", &target.name]).stop();
    let both = fs::read(&target.path).unwrap();
    one_run(&both[first.len()..], &target.name);
}

#[test]
fn a_limit_for_files_is_waited_for() {
    let Some(scene) = Scene::set() else { return };
    let target = Target::new(&scene, "log");
    let mut running = scene.start(&["-o", &target.name]);
    let limit = |running: &Running, bytes: &str| {
        let status = Command::new("prlimit")
            // The soft limit, which may be raised again.
            .args(["--pid", &running.pid().to_string(), &format!("--fsize={bytes}:")])
            .status();
        assert!(status.expect("prlimit (Debian: util-linux)").success());
    };
    limit(&running, "100000");
    let load = scene.load(PAUSE);
    running.wait_until_said("cannot write: File too large");
    assert_eq!(size(&target.path), 100_000);
    limit(&running, "unlimited");
    running.wait_until_said("goes on after");
    load.end();
    running.stop();
    target.checked();
}

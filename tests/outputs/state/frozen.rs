//! A disk that stands still: what is remembered there waits, and nothing else does.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use nix::sys::signal::Signal;

use super::remembered;
use crate::log::Log;
use crate::log::number;
use crate::scene::Scene;
use crate::scene::created;
use crate::scene::wait_until;
use crate::skip::skip;

/// A small ext4 in a file.
struct Loop(PathBuf);

/// Nothing can be written there until this is dropped.
struct Frozen<'a>(&'a Path);

impl Loop {
    /// Mounts it; `None` where there are no loop devices.
    fn mount(scene: &Scene) -> Option<Self> {
        let (image, at) = (scene.path("image"), scene.path("disk"));
        fs::File::create(&image).unwrap().set_len(8 << 20).unwrap();
        fs::create_dir(&at).unwrap();
        let done = does("mkfs.ext4", &["-q", "-F"], &[&image])
            && does("mount", &["-o", "loop"], &[&image, &at]);
        if !done {
            skip("no ext4 in a file can be mounted");
            return None;
        }
        Some(Self(at))
    }

    fn freeze(&self) -> Frozen<'_> {
        assert!(does("fsfreeze", &["-f"], &[&self.0]));
        Frozen(&self.0)
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = does("umount", &["-l"], &[&self.0]);
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        let _ = does("fsfreeze", &["-u"], &[self.0]);
    }
}

fn does(program: &str, options: &[&str], paths: &[&Path]) -> bool {
    Command::new(program).args(options).args(paths).status().is_ok_and(|status| status.success())
}

#[test]
fn a_disk_that_stands_still_holds_nothing_up() {
    let Some(scene) = Scene::set() else { return };
    let Some(disk) = Loop::mount(&scene) else { return };
    let (state, log) = (disk.0.join("state"), scene.path("log"));
    let lines = || fs::read_to_string(&log).unwrap().lines().count();
    let arguments = ["--state", state.to_str().unwrap()];
    let mut running = scene.start_into(created(&log), &arguments);
    let load = scene.load(Duration::from_millis(1));
    wait_until("it is remembered", || fs::read(&state).unwrap().starts_with(b"{"));

    let frozen = disk.freeze();
    let before = lines();
    wait_until("the output goes on", || lines() > before + 4000);
    drop(frozen);
    wait_until("the latest is remembered", || {
        number(&remembered(&state), "seq") > before as u64 + 4000
    });

    let frozen = disk.freeze();
    let before = lines();
    wait_until("the output goes on", || lines() > before + 400);
    load.end();
    let asked = Instant::now();
    running.signal(Signal::SIGINT);
    running.wait_until_said("could not be written within 1 s");
    assert!(asked.elapsed() >= Duration::from_secs(1));
    let log = Log::read(&log);
    log.check("stdout");
    assert_eq!(log.lost(), 0, "nothing is lost");
    // Its thread is in the kernel until the disk goes on: so long the process is there.
    drop(frozen);
    assert!(running.wait().success(), "{}", running.said());
}

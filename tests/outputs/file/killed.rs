//! A connledger that is killed leaves at most one torn line.

use std::fs;
use std::thread;
use std::time::Duration;

use super::Target;
use super::full::Disk;
use super::one_run;
use super::size;
use crate::log::Log;
use crate::scene::Scene;
use crate::scene::wait_until;

#[test]
fn again_and_again() {
    const KILLS: u32 = 10;
    let Some(scene) = Scene::set() else { return };
    let target = Target::new(&scene, "log");
    let load = scene.load(Duration::ZERO);
    let mut begins = Vec::new();
    for number in 0..KILLS {
        begins.push(size(&target.path));
        let running = scene.start(&["-o", &target.name]);
        let begin = size(&target.path);
        wait_until("it grows", || size(&target.path) > begin);
        // Somewhere in a batch.
        thread::sleep(Duration::from_micros(u64::from(number) * 1371));
        running.kill();
    }
    load.end();
    begins.push(size(&target.path));
    scene.start(&["-o", &target.name]).stop();
    let all = fs::read(&target.path).unwrap();
    let begins: Vec<usize> = begins.iter().map(|&begin| usize::try_from(begin).unwrap()).collect();
    for (number, pair) in begins.windows(2).enumerate() {
        let own = fresh(&all[pair[0]..pair[1]], number == 0 || all[pair[0] - 1] == b'\n');
        let whole = own.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        let runs = Log::runs(&own[..whole]);
        assert_eq!(runs.len(), 1);
        runs[0].check_numbers();
    }
    let last = begins[begins.len() - 1];
    one_run(fresh(&all[last..], all[last - 1] == b'\n'), &target.name);
}

/// A full disk stops it in mid-line, and there it is killed.
#[test]
fn in_mid_line() {
    let Some(scene) = Scene::set() else { return };
    let disk = Disk::mount(scene.path("disk"), "128k");
    let target = disk.file();
    let mut running = scene.start(&["-o", &target.name]);
    let load = scene.load(Duration::from_millis(1));
    running.wait_until_said("cannot write: No space left on device");
    running.kill();
    load.end();
    let torn = fs::read(&target.path).unwrap();
    disk.resize("64m");
    scene.start(&["-o", &target.name]).stop();
    let all = fs::read(&target.path).unwrap();
    let (before, after) = all.split_at(torn.len());
    assert!(before == torn);
    // By chance its pages may be full at the end of a line.
    one_run(fresh(after, before.ends_with(b"\n")), &target.name);
    let whole = before.iter().rposition(|&byte| byte == b'\n').expect("a line") + 1;
    Log::runs(&before[..whole])[0].check_numbers();
}

/// What a run wrote, without the newline that ends the torn line before it.
fn fresh(own: &[u8], after_whole_line: bool) -> &[u8] {
    if after_whole_line { own } else { own.strip_prefix(b"\n").expect("a fresh line") }
}

//! Files: appended to, rotated, opened again; full disks, and what is taken away underneath.

use crate::log::Log;
use crate::scene::EVENTS_EACH;
use crate::scene::Scene;
use crate::scene::created;

/// The option for a file in the scene's folder, and the output's name.
#[allow(dead_code)]
fn file(scene: &Scene, name: &str, options: &str) -> (String, String) {
    let output = format!("file:{}", scene.path(name).display());
    (format!("{output}{options}"), output)
}

#[test]
fn standard_output_balances() {
    let Some(scene) = Scene::set() else { return };
    let path = scene.path("stdout");
    let running = scene.start_into(created(&path), &[]);
    scene.connect(100);
    running.stop();
    let log = Log::read(&path);
    log.check("stdout");
    assert!(log.events().count() >= 100 * EVENTS_EACH);
}

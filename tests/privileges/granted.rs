//! A user without capabilities is told the command that grants them; it does.

use std::process::Command;

use crate::dropped::assert_powerless;
use crate::scene::Running;
use crate::scene::Scene;
use crate::who::Who;
use crate::who::as_user;
use crate::who::copied;
use crate::who::own;

#[test]
fn by_the_command_that_the_error_names() {
    let Some(scene) = Scene::set() else { return };
    own(scene.folder(), Who::USER);
    let log = format!("file:{}", scene.path("log").display());
    let plain = scene.command(&["-o", &log]);
    let binary = copied(&plain, &scene);
    let users = || {
        let mut command = as_user();
        command.arg(&binary).args(plain.get_args());
        Running::spawn(&mut command)
    };
    let mut running = users();
    assert_eq!(running.wait().code(), Some(1), "{}", running.said());
    let said = running.said();
    assert!(said.contains("CAP_BPF and CAP_PERFMON missing"), "{said}");

    let (_, command) = said.trim_end().rsplit_once(": sudo ").expect("a command");
    let status = Command::new("sh").args(["-ec", command]).status().expect("sh");
    assert!(status.success(), "{command}");
    let mut running = users();
    running.wait_until_said("tracing; Ctrl-C stops");
    // The collector, the output, and the state.
    assert_powerless(&running, None, 3);
    running.stop();
}

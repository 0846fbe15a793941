//! Who runs connledger.

use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use nix::unistd::Gid;
use nix::unistd::Uid;

use crate::scene::Running;
use crate::scene::Scene;

/// Who, and with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// root, with all capabilities.
    Root,
    /// Another user, with two capabilities and no way to more.
    User,
    /// The same, as systemd starts a service that asks for `NoNewPrivileges=`.
    UserOfNoNewPrivileges,
}

impl Who {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Root, Self::User, Self::UserOfNoNewPrivileges];

    /// The user's id.
    pub const USER: u32 = 65534;

    /// Their id.
    pub fn id(self) -> u32 {
        if self == Self::Root { 0 } else { Self::USER }
    }

    /// A connledger of theirs that tells of the scene's namespace, not started yet. The scene's folder is theirs then.
    pub fn command(self, scene: &Scene, args: &[&str]) -> Command {
        let plain = scene.command(args);
        own(scene.folder(), self.id());
        if self == Self::Root {
            return plain;
        }
        let mut command = as_user();
        command
            .args(["--inh-caps=-all,+bpf,+perfmon", "--ambient-caps=-all,+bpf,+perfmon"])
            .arg("--bounding-set=-all,+bpf,+perfmon");
        if self == Self::UserOfNoNewPrivileges {
            command.arg("--no-new-privs");
        }
        command.arg(copied(&plain, scene)).args(plain.get_args());
        command
    }

    /// One that is ready.
    pub fn start(self, scene: &Scene, args: &[&str]) -> Running {
        let mut running = Running::spawn(&mut self.command(scene, args));
        running.wait_until_said("tracing; Ctrl-C stops");
        running
    }
}

/// A command of the user's, to be continued with further options of setpriv and what it is to run.
pub fn as_user() -> Command {
    let mut command = Command::new("setpriv");
    let user = Who::USER;
    command.args([format!("--reuid={user}"), format!("--regid={user}")]).arg("--clear-groups");
    command
}

/// A copy of a command's program: where it was built others may have no way to it.
pub fn copied(command: &Command, scene: &Scene) -> PathBuf {
    let binary = scene.path("connledger");
    if !binary.exists() {
        fs::copy(command.get_program(), &binary).expect("a copy");
        fs::set_permissions(&binary, Permissions::from_mode(0o755)).expect("permissions");
    }
    binary
}

/// Gives a file or directory to a user.
pub fn own(path: &Path, user: u32) {
    nix::unistd::chown(path, Some(Uid::from_raw(user)), Some(Gid::from_raw(user))).expect("chown");
}

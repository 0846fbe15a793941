//! The processes that the soak starts: they end with it, however it ends, and nobody else's do.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// A process that is killed when this goes.
pub struct Process {
    child: Child,
    paused: bool,
}

impl Process {
    /// Starts this program once more, in another role.
    ///
    /// # Errors
    /// If the system has no process left.
    pub fn start(role: &[&str], stdin: Stdio, stdout: Stdio, stderr: Stdio) -> io::Result<Self> {
        let child = again(role)?
            // A terminal's Ctrl-C is for the soak alone, which then ends its children in order.
            .process_group(0)
            .stdin(stdin)
            .stdout(stdout)
            .stderr(stderr)
            .spawn()?;
        Ok(Self { child, paused: false })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The end of its output that is to be read.
    pub fn take_stdout(&mut self) -> Option<process::ChildStdout> {
        self.child.stdout.take()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        // It has not been waited for: its id is its own still. It may have ended by itself.
        let _ = nix::sys::signal::kill(Pid::from_raw(self.child.id().cast_signed()), signal);
    }

    /// Stops it where it is.
    pub fn pause(&mut self) {
        self.signal(Signal::SIGSTOP);
        self.paused = true;
    }

    /// Lets it go on.
    pub fn resume(&mut self) {
        if self.paused {
            self.signal(Signal::SIGCONT);
            self.paused = false;
        }
    }

    /// Its status, if it has ended.
    ///
    /// # Errors
    /// If the system cannot tell.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits until it ends. `None` if that takes too long.
    ///
    /// # Errors
    /// If the system cannot tell.
    pub fn wait(
        &mut self,
        patience: Duration,
        mut meanwhile: impl FnMut(),
    ) -> io::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(status) = self.ended()? {
                return Ok(Some(status));
            }
            meanwhile();
            thread::sleep(Duration::from_millis(10));
        }
        Ok(None)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Does nothing if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// This program in another role.
///
/// # Errors
/// If it does not find itself.
pub fn again(role: &[&str]) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(format!("--parent={}", process::id())).args(role);
    Ok(command)
}

/// To be called first by whoever was started by [`again`]: dies with its parent, even if that is killed. False if
/// the parent is gone already.
///
/// # Errors
/// If the kernel refuses.
pub fn die_with(parent: u32) -> io::Result<bool> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    let now = nix::unistd::getppid().as_raw().cast_unsigned();
    // In a process namespace of its own a process does not see its parent.
    Ok(now == parent || now == 0)
}

/// A file as a child's output.
///
/// # Errors
/// If the system has no descriptor left.
pub fn to_file(file: &File) -> io::Result<Stdio> {
    Ok(file.try_clone()?.into())
}

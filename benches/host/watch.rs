//! One session: a tool watches a load from its first connection to its last.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context as _;

use crate::contestant::Contestant;
use crate::load::Load;
use crate::load::Made;
use crate::proc;
use crate::proc::Usage;
use crate::scene;
use crate::scene::Scene;
use crate::tool::Attempt;
use crate::tool::Tool;
use crate::tool::Written;

/// How often the memory is looked at.
const MEMORY: Duration = Duration::from_millis(100);

/// What came of a session.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// The load.
    pub made: Made,
    /// What the tool wrote of it.
    pub written: Written,
    /// What it used for that.
    pub used: Usage,
    /// How long the load was watched.
    pub seconds: f64,
    /// The most anonymous memory that it had.
    pub anonymous_kib: u64,
}

impl Session {
    /// All connections that the tool had to do with: those of the load, and as many more as it wrote lines of
    /// others.
    pub fn connections(&self) -> f64 {
        let lines = self.written.lines.max(1) as f64;
        self.made.total as f64 * self.written.all_lines as f64 / lines
    }
}

/// A load that nobody watches.
pub fn untraced(load: &Load, scene: &Scene) -> anyhow::Result<Made> {
    scene.take_turn()?;
    scene::new_network()?;
    load.make()
}

/// A load that a tool watches. Else the reason why it cannot.
pub fn watched(
    contestant: &Contestant,
    load: &Load,
    scene: &Scene,
) -> anyhow::Result<Result<Session, String>> {
    let result = watched_besides(contestant, load, scene, |_| Ok(()))?;
    Ok(result.map(|(session, _)| session))
}

/// The same, with a look at the tool before the load and after it.
pub fn watched_besides<T>(
    contestant: &Contestant,
    load: &Load,
    scene: &Scene,
    look: impl Fn(&Tool) -> anyhow::Result<T>,
) -> anyhow::Result<Result<(Session, [T; 2]), String>> {
    scene.take_turn()?;
    scene::new_network()?;
    let tool = match Tool::start(contestant, scene)? {
        Attempt::Attached(tool) => tool,
        Attempt::Refused(reason) => return Ok(Err(reason)),
    };
    let looked = look(&tool)?;
    let before = Usage::of(tool.pid())?;
    let begin = Instant::now();
    let (made, anonymous_kib) =
        with_an_eye_on_memory(tool.pid(), || load.make()).with_context(|| contestant.name)?;
    thread::sleep(contestant.keeps);
    let seconds = begin.elapsed().as_secs_f64();
    let used = Usage::of(tool.pid())?.since(&before);
    let looked = [looked, look(&tool)?];
    let written = tool.stop()?;
    Ok(Ok((Session { made, written, used, seconds, anonymous_kib }, looked)))
}

/// Does something, and tells the most anonymous memory that process `pid` had meanwhile.
fn with_an_eye_on_memory<T>(
    pid: u32,
    action: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<(T, u64)> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut most = 0;
            while !over.load(Ordering::Relaxed) {
                most = most.max(proc::anonymous_kib(pid).unwrap_or(0));
                thread::sleep(MEMORY);
            }
            most
        });
        let result = action();
        over.store(true, Ordering::Relaxed);
        let most = watcher.join().unwrap_or(0).max(proc::anonymous_kib(pid).unwrap_or(0));
        Ok((result?, most))
    })
}

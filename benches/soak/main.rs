//! `make soak MINUTES=n`: connledger under the highest load that this machine makes, paused, killed and started
//! again, while its logs are held against the ledger's rules and its memory is watched. Needs root.
//!
//! All of it happens in a network namespace of its own. The processes that it starts are this program in other
//! roles; they die with it.

#![allow(missing_docs, reason = "a program, not a library")]

mod checker;
mod children;
mod follow;
mod load;
mod memory;
mod random;
mod report;
mod run;
#[path = "../../tests/support/schema.rs"]
#[allow(
    dead_code,
    clippy::expect_used,
    reason = "written for the tests; a bad schema is a fault of ours"
)]
mod schema;

use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use anyhow::Context as _;
use anyhow::bail;
use anyhow::ensure;
use clap::Parser;
use clap::Subcommand;
use nix::sched::CloneFlags;
use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;
use signal_hook::flag;

use self::children::Process;
use self::follow::Fault;
use self::random::Random;
use self::report::Report;
use self::run::Output;
use self::run::Plan;
use self::run::Run;

/// Puts connledger under load, and checks its books.
#[derive(Parser)]
struct Cli {
    /// How long
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Repeat what a soak did
    #[arg(long, global = true)]
    seed: Option<u64>,
    /// Given by cargo bench
    #[arg(long, hide = true)]
    bench: bool,
    /// Who started this
    #[arg(long, hide = true)]
    parent: Option<u32>,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Debug, Subcommand)]
#[command(hide = true)]
enum Role {
    Load,
    Crowd,
    Serve {
        #[arg(long)]
        port: u16,
    },
    Connect,
    Hurry,
    Brief,
    Read,
    Trace {
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let seed = cli.seed.unwrap_or_else(now_ns);
    let result = match (cli.role, cli.parent) {
        (Some(role), Some(parent)) => {
            play(&role, parent, seed).with_context(|| format!("as {role:?}"))
        }
        _ => Duration::try_from_secs_f64(cli.minutes * 60.0)
            .context("--minutes")
            .and_then(|length| soak(length, seed)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("soak: {err:#}");
            ExitCode::FAILURE
        }
    }
}

fn play(role: &Role, parent: u32, seed: u64) -> io::Result<()> {
    if !children::die_with(parent)? {
        return Ok(());
    }
    match role {
        Role::Load => load::enclose(seed),
        Role::Crowd => load::crowd(seed),
        Role::Serve { port } => load::serve(*port),
        Role::Connect => {
            load::connect(seed);
            Ok(())
        }
        Role::Hurry => load::hurry(seed),
        Role::Brief => {
            load::brief(seed);
            Ok(())
        }
        Role::Read => io::copy(&mut io::stdin(), &mut io::stdout()).map(drop),
        Role::Trace { args } => {
            Err(Command::new(env!("CARGO_BIN_EXE_connledger")).args(args).exec())
        }
    }
}

fn now_ns() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(0)
}

/// A network namespace with a loopback device, whose ports do not run out.
fn enter_namespace() -> anyhow::Result<()> {
    ensure!(nix::unistd::Uid::effective().is_root(), "needs root: it traces");
    nix::sched::unshare(CloneFlags::CLONE_NEWNET).context("cannot make a network namespace")?;
    let status = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    ensure!(status.context("ip (Debian: iproute2)")?.success(), "ip link set lo up");
    // More connections end in a second than there are ports: they must be free again at once.
    for (name, value) in [
        ("ip_local_port_range", "10000 65535"),
        ("tcp_tw_reuse", "1"),
        ("tcp_max_tw_buckets", "4096"),
    ] {
        fs::write(format!("/proc/sys/net/ipv4/{name}"), value).context(name)?;
    }
    Ok(())
}

/// Empty, for the logs of this soak.
fn folder() -> anyhow::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("soak");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}

/// True once somebody wants this to end. The second time it ends at once, and takes its children along.
fn interruption() -> io::Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&interrupted))?;
        flag::register(signal, Arc::clone(&interrupted))?;
    }
    Ok(interrupted)
}

/// The runs that are killed or stopped after seconds take this share of the time, the long one the rest.
const SHORT_RUNS: f64 = 0.3;

fn short_run(number: u32, random: &mut Random) -> Plan {
    Plan {
        output: if number.is_multiple_of(2) { Output::Pipe } else { Output::File },
        kill: (number / 2).is_multiple_of(2),
        length: Duration::from_millis(random.between(1000, 8000)),
        ring_size: "1MiB",
        judge_memory: false,
    }
}

fn long_run(length: Duration) -> Plan {
    Plan { output: Output::Pipe, kill: false, length, ring_size: "8MiB", judge_memory: true }
}

fn soak(length: Duration, seed: u64) -> anyhow::Result<()> {
    enter_namespace()?;
    let folder = folder()?;
    let interrupted = interruption()?;
    let mut random = Random::new(seed);
    let mut report = Report::new();
    report.say(&format!("soak: {} s, to be repeated with --seed {seed}", length.as_secs()));

    let mut load = load::start(random.next()).context("cannot start the load")?;
    let begun = Instant::now();
    let finding = loop {
        let number = report.runs();
        let left = length.saturating_sub(begun.elapsed());
        let plan = if begun.elapsed() < length.mul_f64(SHORT_RUNS) {
            short_run(number, &mut random)
        } else {
            long_run(left)
        };
        let path = folder.join(format!("{}.ndjson", number + 1));
        let mut run = Run::begin(plan, &path).context("cannot start connledger")?;
        let result = run
            .last(&mut random, |run| {
                report.progress(run, length);
                !interrupted.load(Ordering::Relaxed)
            })
            .and_then(|()| run.end());
        match result {
            Ok(outcome) => report.passed(plan, &outcome),
            Err(Fault::Found(finding)) => break Some((finding, path)),
            Err(Fault::Broken(err)) => return Err(err).context("cannot follow a run"),
        }
        if let Some(status) = load.ended()? {
            bail!("the load has ended: {status}");
        }
        if plan.judge_memory || interrupted.load(Ordering::Relaxed) {
            break None;
        }
    };
    drop::<Process>(load);
    report.summarize();
    if let Some((finding, path)) = finding {
        bail!("FAILED: {finding}\n      its log: {}", path.display());
    }
    ensure!(!interrupted.load(Ordering::Relaxed), "interrupted; so far all was well");
    ensure!(report.omissions().is_empty(), "FAILED: {}", report.omissions().join("; "));
    report.say("soak: passed");
    Ok(())
}

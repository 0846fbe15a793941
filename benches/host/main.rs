//! `make bench`: what connledger costs the host that it observes, beside other tools of its kind.
//!
//! One command measures everything in one run and writes one report, `target/bench/report.md` and
//! `report.json`. docs/BENCHMARKS.md says what is measured and how, and what the numbers do not say.
//!
//! ```text
//!  options ─► sections: host, kernel, user, latency, memory, growth, pipeline, outputs
//!               │  each starts a load (load/) in a fresh network namespace (scene),
//!               │  and a tool (tool) that watches it: connledger or a peer (peers)
//!               ▼
//!             report ─► report.md, report.json, growth.svg (plot); targets beside what was measured
//! ```
//!
//! The load's processes are this program again, in a role: `host role server`, `host role client`, ….

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "measurements: no count comes near 2^53, and no rate is negative"
)]

mod bpf;
mod contestant;
mod load;
mod machine;
mod obstacles;
mod options;
mod pipeline;
mod plot;
mod proc;
mod report;
mod scene;
mod sections;
mod statistics;
#[path = "../../tests/support/mod.rs"]
mod support;
mod tap;
mod targets;
mod tool;
mod watch;

use std::env;
use std::process::ExitCode;

use anyhow::Context as _;

use self::options::Options;
use self::report::Report;
use self::scene::Scene;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((first, role)) if first == load::ROLE => load::play(role),
        // Cargo passes --bench.
        _ => bench(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("bench: {err:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures what is asked for, and writes the report after each section: a run that is interrupted leaves
/// what it has.
fn bench() -> anyhow::Result<()> {
    let options = Options::from_environment()?;
    let scene = Scene::set(options.lock.as_deref())
        .context("cannot set the scene (tracing takes root: use make bench)")?;
    let mut report = Report::new(&options);
    for section in &options.sections {
        progress(&format!("== {section}"));
        section.measure(&options, &scene, &mut report).with_context(|| format!("{section}"))?;
        report.write(&scene)?;
    }
    println!("{}", report.targets());
    progress(&format!("the report: {}", scene.report_path("report.md").display()));
    Ok(())
}

/// Says on stderr how far it is.
fn progress(text: &str) {
    eprintln!("{text}");
}

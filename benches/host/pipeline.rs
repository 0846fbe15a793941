//! The pipeline alone, as benches/pipeline.rs measured it just before: what divan printed.

use serde::Serialize;

/// One benchmark of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// How many processes the generated host has.
    pub processes: String,
    /// Records a second: the median.
    pub records_a_second: f64,
}

/// What stands in divan's output. A benchmark has a line with its name, one with its argument and times below
/// that, and below that one with its throughput, in columns: fastest, slowest, median, mean.
pub fn parse(output: &str) -> Vec<Stage> {
    let mut stages = Vec::new();
    let (mut name, mut processes) = (String::new(), String::new());
    for line in output.lines() {
        let Some((label, _)) = line.split_once("  ") else { continue };
        if let Some(rate) = rate(line) {
            stages.push(Stage {
                name: name.clone(),
                processes: processes.clone(),
                records_a_second: rate,
            });
        } else if let Some(word) = label.strip_prefix("├─ ").or(label.strip_prefix("╰─ ")) {
            word.trim().clone_into(&mut name);
        } else if let Some((_, word)) = line.split_once("─ ") {
            word.split(' ').next().unwrap_or_default().clone_into(&mut processes);
        }
    }
    stages
}

/// The median of a line with throughputs in items: `4.1 Mitem/s`.
fn rate(line: &str) -> Option<f64> {
    let median = line.split('│').filter(|column| column.contains("item/s")).nth(2)?;
    let (number, unit) = median.trim().split_once(' ')?;
    let factor = match unit.trim().strip_suffix("item/s")? {
        "" => 1.0,
        "K" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

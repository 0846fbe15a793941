//! jq.

use crate::log::log;
use crate::tools::output;
use crate::tools::program;

/// Every line goes in and comes out as it was, byte for byte: keys in their order, numbers exact, nothing written in
/// another way than jq writes it.
#[test]
fn every_line_comes_out_as_it_went_in() {
    let Some(log) = log() else { return };
    let Some(mut jq) = program("jq") else { return };
    let text = output(jq.args(["-c", "."]).arg(&log.path));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), log.lines.len());
    for (read, written) in lines.iter().zip(&log.lines) {
        assert_eq!(read, written);
    }
}

/// The checks that README.md shows.
#[test]
fn the_numbers_and_the_books() {
    let Some(log) = log() else { return };
    let Some(mut jq) = program("jq") else { return };
    let readme = std::fs::read_to_string(crate::tools::file("README.md")).unwrap();
    let gaps = between(&readme, "$ jq -n '", "' first-100.ndjson").expect("the check for gaps");
    let next = output(jq.args(["-n", gaps]).arg(&log.path));
    assert_eq!(next.trim(), (log.lines.len() + 1).to_string());

    let books = between(&readme, "$ jq -c 'select(.event == \"stop\")", "' first-100.ndjson");
    let books = format!("select(.event == \"stop\"){}", books.expect("the check of the books"));
    let Some(mut jq) = program("jq") else { return };
    let figures: Vec<u64> =
        serde_json::from_str(&output(jq.args(["-c", &books]).arg(&log.path))).unwrap();
    assert_eq!(figures[0], figures[1]);
    let kinds = log.kinds();
    let own: usize = ["start", "ready", "heartbeat", "stop"].iter().map(|kind| kinds[kind]).sum();
    assert!(figures[0] >= (log.lines.len() - own) as u64, "{figures:?}");
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    text.split_once(begin)?.1.split_once(end).map(|(between, _)| between)
}

//! The examples for programs that neither Debian nor PyPI has, Vector and Fluent Bit: as much of them as can be checked
//! without those. Their syntax, that their parts fit together, and that they fit connledger.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;

use connledger::cli;
use serde_json::Value;

use crate::schema;
use crate::tools::file;
use crate::tools::from_pypi;
use crate::tools::output;

/// Prints a file of TOML or YAML as JSON.
const PYTHON: &str = "
import json, sys, tomli, yaml
path = sys.argv[1]
text = open(path).read()
print(json.dumps(tomli.loads(text) if path.endswith('.toml') else yaml.safe_load(text)))
";

/// The files of a folder that end so, with what is in them.
fn configurations(folder: &str, extension: &str) -> Option<Vec<(String, String, Value)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(file(folder)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|found| found != extension) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let mut python = from_pypi("python")?;
        let json = output(python.args(["-c", PYTHON]).arg(&path));
        let configuration = serde_json::from_str(&json).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        found.push((name, text, configuration));
    }
    assert!(!found.is_empty(), "{folder}");
    Some(found)
}

/// What the first comment says to start connledger with: its arguments, which connledger takes.
fn connledger(name: &str, text: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix("#   connledger "))?;
    let words = ["connledger"].into_iter().chain(line.split(' ')).map(OsString::from);
    assert!(cli::request(words).is_ok(), "{name}: {line}");
    Some(line.to_owned())
}

fn names(configuration: &Value, tables: &[&str]) -> BTreeSet<String> {
    let tables = tables.iter().filter_map(|table| configuration[table].as_object());
    tables.flat_map(|table| table.keys().cloned()).collect()
}

#[test]
fn vector() {
    let Some(files) = configurations("examples/vector", "toml") else { return };
    let (inputs, outputs): (Vec<_>, Vec<_>) =
        files.iter().partition(|(_, _, configuration)| configuration["sources"].is_object());
    assert_eq!((inputs.len(), outputs.len()), (2, 4));
    for (name, text, input) in &inputs {
        let arguments = connledger(name, text).unwrap_or_else(|| panic!("{name}: no command"));
        let source = input["sources"].as_object().unwrap().values().next().unwrap();
        let path = source["path"].as_str().or(source["include"][0].as_str()).unwrap();
        assert!(arguments.contains(path.trim_end_matches('*')), "{name}: {arguments}");
        let program = input["transforms"]["connledger"]["source"].as_str().unwrap();
        assert!(program.contains(".timestamp = parse_timestamp!(.time, \"%+\")"), "{name}");
        // Alone, and with each of the sinks.
        check_inputs(name, &[input]);
        for (sink, _, output) in &outputs {
            check_inputs(&format!("{name} and {sink}"), &[input, output]);
        }
    }
}

/// Each input of a component is the output of another, and no two have the same name.
fn check_inputs(what: &str, configurations: &[&Value]) {
    let mut known = BTreeSet::new();
    for configuration in configurations {
        for name in names(configuration, &["sources", "transforms", "sinks"]) {
            assert!(known.insert(name.clone()), "{what}: two are called {name}");
        }
    }
    for table in configurations.iter().flat_map(|c| [&c["transforms"], &c["sinks"]]) {
        for component in table.as_object().into_iter().flat_map(|table| table.values()) {
            for input in component["inputs"].as_array().unwrap() {
                let name = input.as_str().unwrap();
                let name = name.strip_suffix(".dropped").unwrap_or(name);
                assert!(known.contains(name), "{what}: there is no {name}");
            }
        }
    }
}

#[test]
fn fluent_bit() {
    let Some(files) = configurations("examples/fluent-bit", "yaml") else { return };
    assert_eq!(files.len(), 2);
    for (name, text, configuration) in files {
        let arguments = connledger(&name, &text).unwrap_or_else(|| panic!("{name}: no command"));
        let parser = &configuration["parsers"][0];
        assert_eq!(parser["time_key"], "time", "{name}");
        assert_eq!(parser["time_format"], "%Y-%m-%dT%H:%M:%S.%LZ", "{name}");
        let input = &configuration["pipeline"]["inputs"][0];
        assert_eq!(input["parser"], parser["name"], "{name}");
        assert!(arguments.contains(input["path"].as_str().unwrap()), "{name}: {arguments}");
        // Longer lines than these would be lost, and those behind them.
        for size in ["buffer_chunk_size", "buffer_max_size"] {
            assert!(input[size].as_u64().unwrap() >= 32 << 10, "{name}: {size}");
        }
        let output = &configuration["pipeline"]["outputs"][0];
        assert_eq!(output["match"], input["tag"], "{name}");
    }
}

/// What the schema describes has a place.
#[test]
fn clickhouse_has_a_column_for_every_field() {
    let table = fs::read_to_string(file("examples/vector/clickhouse.sql")).unwrap();
    let columns: BTreeSet<&str> =
        table.lines().filter_map(|line| line.trim_start().split_once(' ')).map(|c| c.0).collect();
    let schema = schema::published();
    for kind in schema::kinds(&schema) {
        for name in schema::fields(&schema, &kind).keys() {
            let (outer, inner) = name.split_once('.').unwrap_or((name, ""));
            assert!(columns.contains(outer), "there is no {outer}");
            if ["local", "remote", "process"].contains(&outer) && !inner.is_empty() {
                assert!(table.contains(&format!("{inner} Nullable(")), "there is no {name}");
            }
        }
    }
}

#[test]
fn elasticsearch_has_nanoseconds() {
    let path = file("examples/vector/elasticsearch-template.json");
    let template: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let properties = &template["template"]["mappings"]["properties"];
    for field in ["/@timestamp", "/time", "/process/properties/start"] {
        assert_eq!(properties.pointer(field).unwrap()["type"], "date_nanos", "{field}");
    }
}

/// What lies in examples is told in a README.md: there, or in its own folder's.
#[test]
fn every_example_is_listed() {
    let all = fs::read_to_string(file("examples/README.md")).unwrap();
    for entry in fs::read_dir(file("examples")).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        let name = folder.file_name().unwrap().to_str().unwrap();
        assert!(all.contains(&format!("({name})")), "examples/README.md does not name {name}");
        let own = fs::read_to_string(folder.join("README.md")).unwrap_or_default();
        for entry in fs::read_dir(&folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let told = name == "README.md" || own.contains(&name) || all.contains(&name);
            assert!(told, "nobody tells of {name}");
        }
    }
}

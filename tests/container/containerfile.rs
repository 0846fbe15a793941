//! The file that makes the image.

use std::fs;

use crate::manifest::Manifest;
use crate::tools::file;
use crate::tools::from_pypi;
use crate::tools::output;

const PATH: &str = "examples/container/Containerfile";

#[test]
fn it_is_well_made() {
    let Some(mut hadolint) = from_pypi("hadolint") else { return };
    assert_eq!(output(hadolint.arg(file(PATH))), "");
}

/// The command in its comment gives the container what the manifest does.
#[test]
fn it_is_run_with_what_the_manifest_says() {
    let Some(manifest) = Manifest::read() else { return };
    let text = fs::read_to_string(file(PATH)).unwrap();
    let comment = text.lines().map_while(|line| line.strip_prefix('#'));
    let command: String = comment.collect::<Vec<_>>().join(" ").replace('\\', " ");
    let words: Vec<&str> = command.split_whitespace().collect();
    let options = |name: &str| -> Vec<&str> {
        let pairs = words.windows(2).filter(|pair| pair[0] == name);
        pairs.map(|pair| pair[1]).collect()
    };
    assert_eq!(options("--cap-drop"), ["ALL"]);
    let added: Vec<String> =
        options("--cap-add").iter().map(|name| format!("CAP_{name}")).collect();
    assert_eq!(added, manifest.capabilities());
    assert_eq!(options("--pid"), ["host"]);
    assert_eq!(options("--network"), ["host"]);
    assert!(words.contains(&"--read-only") && words.contains(&"no-new-privileges"), "{words:?}");
    let mounts: Vec<String> = manifest
        .mounts()
        .filter_map(|mount| {
            let path = manifest.volume(mount["name"].as_str()?)["hostPath"]["path"].as_str()?;
            let read_only = if mount["readOnly"] == true { ":ro" } else { "" };
            Some(format!("{path}:{}{read_only}", mount["mountPath"].as_str()?))
        })
        .collect();
    assert_eq!(options("-v"), mounts);
    // Both start it in the same way.
    let arguments = manifest.container()["args"].to_string().replace(',', ", ");
    assert!(text.contains(&format!("CMD {arguments}")), "{arguments}");
}

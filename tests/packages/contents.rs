//! What is in the packages: one list for both, save the paths that each distribution wants.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::made::PROJECT;

/// Files of both packages, and of make install, by their modes; all of them root's.
pub const SHARED: &[(u32, &str)] = &[
    (0o755, "/usr/bin/connledger"),
    (0o644, "/etc/connledger/connledger.toml"),
    (0o644, "/etc/lnav/formats/connledger/connledger.json"),
    (0o644, "/etc/logrotate.d/connledger"),
    (0o644, "/usr/lib/systemd/catalog/connledger.catalog"),
    (0o644, "/usr/lib/systemd/system/connledger.service"),
    (0o644, "/usr/lib/sysusers.d/connledger.conf"),
    (0o644, "/usr/lib/tmpfiles.d/connledger.conf"),
    (0o644, "/usr/share/bash-completion/completions/connledger"),
    (0o644, "/usr/share/connledger/schema/connledger-1.schema.json"),
    (0o644, "/usr/share/connledger/schema/connledger-verify-1.schema.json"),
    (0o644, "/usr/share/fish/vendor_completions.d/connledger.fish"),
    (0o644, "/usr/share/man/man5/connledger.toml.5.gz"),
    (0o644, "/usr/share/man/man8/connledger.8.gz"),
];

/// Folders of the source that are installed as they are.
const FOLDERS: &[(&str, &str)] = &[
    ("schema/examples", "/usr/share/connledger/schema/examples"),
    ("examples", "/usr/share/doc/connledger/examples"),
];

/// Debian compresses what is long, and has one file for all licences but those of the crates.
const DEBIAN: &[(u32, &str)] = &[
    (0o644, "/usr/share/doc/connledger/README.md.gz"),
    (0o644, "/usr/share/doc/connledger/THIRD-PARTY.gz"),
    (0o644, "/usr/share/doc/connledger/changelog.Debian.gz"),
    (0o644, "/usr/share/doc/connledger/changelog.gz"),
    (0o644, "/usr/share/doc/connledger/copyright"),
    (0o644, "/usr/share/doc/connledger/schema-changes.md"),
    (0o644, "/usr/share/lintian/overrides/connledger"),
    (0o644, "/usr/share/zsh/vendor-completions/_connledger"),
];

/// Fedora has the licences in a folder of their own.
const FEDORA: &[(u32, &str)] = &[
    (0o644, "/usr/share/doc/connledger/CHANGELOG.md"),
    (0o644, "/usr/share/doc/connledger/README.md"),
    (0o644, "/usr/share/doc/connledger/schema-changes.md"),
    (0o644, "/usr/share/licenses/connledger/THIRD-PARTY"),
    (0o644, "/usr/share/zsh/site-functions/_connledger"),
];

/// What the .rpm and make install have besides.
pub const LICENSES: &[(u32, &str)] = &[
    (0o644, "/usr/share/licenses/connledger/LICENSE-APACHE"),
    (0o644, "/usr/share/licenses/connledger/LICENSE-BSD-2-Clause"),
    (0o644, "/usr/share/licenses/connledger/LICENSE-GPL-2.0"),
    (0o644, "/usr/share/licenses/connledger/LICENSE-MIT"),
];

/// Folders of the service, which are not there before systemd makes them; as rpm has them.
pub const MADE_LATER: &str = "\
drwxrws--- connledger:connledger /run/connledger
drwxr-x--- connledger:connledger /var/lib/connledger
drwxr-x--- connledger:connledger /var/log/connledger
";

/// Files by their paths, each with its mode and owner as stat writes them.
pub type Files = BTreeMap<String, String>;

/// What the .deb installs.
pub fn of_deb() -> Files {
    files(&[DEBIAN])
}

/// What the .rpm installs.
pub fn of_rpm() -> Files {
    files(&[FEDORA, LICENSES])
}

fn files(own: &[&[(u32, &str)]]) -> Files {
    let mut files = Files::new();
    for (mode, path) in SHARED.iter().chain(own.iter().copied().flatten()) {
        files.insert((*path).to_owned(), format!("{mode:o} root:root"));
    }
    for (source, place) in FOLDERS {
        add_folder(&Path::new(PROJECT).join(source), place, &mut files);
    }
    files
}

fn add_folder(source: &Path, place: &str, files: &mut Files) {
    for entry in fs::read_dir(source).unwrap() {
        let entry = entry.unwrap();
        let inside = format!("{place}/{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            add_folder(&entry.path(), &inside, files);
        } else {
            files.insert(inside, "644 root:root".to_owned());
        }
    }
}

/// What a shell runs to list the files whose paths it reads, as [`Files`] has them. Folders and links are left out;
/// a folder that is not 755 and root's is an error.
pub const LIST: &str = r#"while IFS= read -r path; do
    [ -d "$path" ] || { stat -c '%a %U:%G %n' "$path"; continue; }
    case $path in /|/.) continue ;; esac
    [ "$(stat -L -c '%a %U:%G' "$path")" = '755 root:root' ] || { ls -ld "$path" >&2; exit 1; }
done"#;

/// What such a list says. Debian's older systems have /lib as a link to /usr/lib.
pub fn listed(text: &str) -> Files {
    let mut files = Files::new();
    for line in text.lines() {
        let (properties, path) = line.split_once(" /").unwrap();
        let path =
            if path.starts_with("lib/") { format!("/usr/{path}") } else { format!("/{path}") };
        files.insert(path, properties.to_owned());
    }
    files
}

//! What a runtime is given to run the manifest's container: a root with the program and its libraries, and a
//! configuration with the manifest's mounts, namespaces and capabilities, all else by the runtime's defaults.

use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use crate::manifest::Manifest;
use crate::tools::output;
use crate::tools::program;

/// Where the package has it.
const PROGRAM: &str = "/usr/bin/connledger";

/// The node's, in /etc/machine-id.
pub const MACHINE_ID: &str = "0123456789abcdef0123456789abcdef";

/// The name of a container that has one of its own.
pub const POD: &str = "connledger-x7k2p";

/// A bundle, and the directories of the node that it mounts.
pub struct Bundle {
    folder: TempDir,
    config: Value,
}

impl Bundle {
    /// Of the manifest's container; none where there is no runtime, which is said.
    pub fn of(manifest: &Manifest) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        output(program("crun")?.arg("spec").current_dir(folder.path()));
        let config = fs::read(folder.path().join("config.json")).unwrap();
        let mut bundle = Self { folder, config: serde_json::from_slice(&config).unwrap() };
        bundle.fill_root();
        bundle.fill_config(manifest);
        Some(bundle)
    }

    /// Takes a namespace of the node's away, so that the container has one of its own.
    pub fn unshare(mut self, namespace: &str) -> Self {
        let namespaces = self.config["linux"]["namespaces"].as_array_mut().unwrap();
        assert!(namespaces.iter().all(|shared| shared["type"] != namespace), "{namespace}");
        namespaces.push(json!({ "type": namespace }));
        if namespace == "uts" {
            self.config["hostname"] = json!(POD);
        }
        self
    }

    /// Where it lies, with all that was said written down.
    pub fn written(&self) -> &Path {
        let text = serde_json::to_string_pretty(&self.config).unwrap();
        fs::write(self.folder.path().join("config.json"), text).unwrap();
        self.folder.path()
    }

    /// A path of the node's.
    pub fn of_node(&self, path: &str) -> PathBuf {
        self.folder.path().join("node").join(path.trim_start_matches('/'))
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("rootfs")
    }

    /// The program, and what it is linked with, as ldd says.
    fn fill_root(&self) {
        let binary = env!("CARGO_BIN_EXE_connledger");
        self.copy(Path::new(binary), PROGRAM);
        let linked = output(Command::new("ldd").arg(binary));
        for library in linked.split_whitespace().filter(|word| word.starts_with('/')) {
            self.copy(Path::new(library), library);
        }
        fs::set_permissions(self.root(), Permissions::from_mode(0o755)).unwrap();
    }

    fn copy(&self, from: &Path, to: &str) {
        let to = self.root().join(to.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }

    fn fill_config(&mut self, manifest: &Manifest) {
        let container = manifest.container();
        let context = &container["securityContext"];
        let mut args = vec![json!(PROGRAM)];
        args.extend(container["args"].as_array().unwrap().iter().cloned());
        let capabilities = json!(manifest.capabilities());
        let process = &mut self.config["process"];
        process["terminal"] = json!(false);
        process["args"] = json!(args);
        process["user"] = json!({ "uid": context["runAsUser"], "gid": context["runAsGroup"] });
        process["noNewPrivileges"] = json!(context["allowPrivilegeEscalation"] == false);
        process["capabilities"] = json!({
            "bounding": capabilities, "effective": capabilities, "permitted": capabilities
        });
        self.config["root"]["readonly"] = context["readOnlyRootFilesystem"].clone();
        // What it shares with its node.
        let pod = manifest.pod();
        let is_shared = |namespace: &Value| match namespace["type"].as_str().unwrap() {
            "pid" => pod["hostPID"] == true,
            "network" | "uts" => pod["hostNetwork"] == true,
            _ => false,
        };
        self.config["linux"]["namespaces"].as_array_mut().unwrap().retain(|kind| !is_shared(kind));
        if pod["hostNetwork"] == true {
            self.config.as_object_mut().unwrap().remove("hostname");
        }
        // Which controllers there are is the machine's affair; the filter by cgroup alone would want them.
        let mounts = self.config["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| mount["type"] != "cgroup");
        for mount in manifest.mounts() {
            let source = self.source(manifest, mount);
            let read_only = if mount["readOnly"] == true { "ro" } else { "rw" };
            let destination = &mount["mountPath"];
            self.config["mounts"].as_array_mut().unwrap().push(json!({
                "destination": destination, "type": "bind", "source": source,
                "options": ["rbind", "rprivate", read_only],
            }));
        }
    }

    /// Makes what a mount shows, as a node has it.
    fn source(&self, manifest: &Manifest, mount: &Value) -> PathBuf {
        let volume = manifest.volume(mount["name"].as_str().unwrap());
        if let Some(name) = volume["configMap"]["name"].as_str() {
            let directory = self.of_node("config-map");
            fs::create_dir_all(&directory).unwrap();
            // Kubernetes makes it so.
            fs::set_permissions(&directory, Permissions::from_mode(0o777)).unwrap();
            for (name, text) in manifest.config_map(name).as_object().unwrap() {
                fs::write(directory.join(name), text.as_str().unwrap()).unwrap();
            }
            return directory.join(mount["subPath"].as_str().unwrap_or_default());
        }
        let path = self.of_node(volume["hostPath"]["path"].as_str().unwrap());
        match volume["hostPath"]["type"].as_str().unwrap() {
            "DirectoryOrCreate" => {
                fs::create_dir_all(&path).unwrap();
                fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
            }
            "File" => {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, format!("{MACHINE_ID}\n")).unwrap();
            }
            other => panic!("{other}"),
        }
        path
    }
}

//! The manifest for Kubernetes.

use serde_json::Value;

use crate::tools::file;
use crate::tools::from_pypi;
use crate::tools::output;

const PATH: &str = "examples/kubernetes/daemonset.yaml";

const TO_JSON: &str = "
import json, sys, yaml
print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))
";

/// What the manifest says.
pub struct Manifest {
    objects: Vec<Value>,
}

impl Manifest {
    /// Reads it; none where what reads it is not installed, which is said.
    pub fn read() -> Option<Self> {
        let mut python = from_pypi("python")?;
        let json = output(python.args(["-c", TO_JSON]).arg(file(PATH)));
        Some(Self { objects: serde_json::from_str(&json).unwrap() })
    }

    fn object(&self, kind: &str) -> &Value {
        self.objects.iter().find(|object| object["kind"] == kind).expect(kind)
    }

    /// What the pod is.
    pub fn pod(&self) -> &Value {
        &self.object("DaemonSet")["spec"]["template"]["spec"]
    }

    /// Its one container.
    pub fn container(&self) -> &Value {
        let containers = self.pod()["containers"].as_array().unwrap();
        assert_eq!(containers.len(), 1);
        &containers[0]
    }

    /// The files of a config map.
    pub fn config_map(&self, name: &str) -> &Value {
        let map = self.object("ConfigMap");
        assert_eq!(map["metadata"]["name"], name);
        &map["data"]
    }

    /// The volume of a mount.
    pub fn volume(&self, name: &str) -> &Value {
        let volumes = self.pod()["volumes"].as_array().unwrap();
        volumes.iter().find(|volume| volume["name"] == name).expect(name)
    }

    /// The container's mounts.
    pub fn mounts(&self) -> impl Iterator<Item = &Value> {
        self.container()["volumeMounts"].as_array().unwrap().iter()
    }

    /// The capabilities that it adds to none, as Linux calls them.
    pub fn capabilities(&self) -> Vec<String> {
        let capabilities = &self.container()["securityContext"]["capabilities"];
        assert_eq!(capabilities["drop"], serde_json::json!(["ALL"]));
        let added = capabilities["add"].as_array().unwrap();
        added.iter().map(|name| format!("CAP_{}", name.as_str().unwrap())).collect()
    }
}

/// By the schemas of this version and of one that is old; strictly: a key that is spelt wrong is an error.
#[test]
fn kubernetes_takes_it() {
    for version in [&[][..], &["--kubernetes-version", "1.28"]] {
        let Some(mut validate) = from_pypi("kubernetes-validate") else { return };
        let result = validate.arg("--strict").args(version).arg(file(PATH)).output().unwrap();
        let said = String::from_utf8([result.stdout, result.stderr].concat()).unwrap();
        assert!(result.status.success(), "{said}");
        assert_eq!(said.matches(" passed for resource ").count(), 3, "{said}");
    }
}

/// All is in the namespace that it makes, and the set finds its pods.
#[test]
fn its_parts_fit_together() {
    let Some(manifest) = Manifest::read() else { return };
    let namespace = &manifest.object("Namespace")["metadata"]["name"];
    for kind in ["ConfigMap", "DaemonSet"] {
        assert_eq!(&manifest.object(kind)["metadata"]["namespace"], namespace);
    }
    let spec = &manifest.object("DaemonSet")["spec"];
    assert_eq!(spec["selector"]["matchLabels"], spec["template"]["metadata"]["labels"]);
    for mount in manifest.mounts() {
        manifest.volume(mount["name"].as_str().unwrap());
    }
    let volumes = manifest.pod()["volumes"].as_array().unwrap();
    assert_eq!(manifest.mounts().count(), volumes.len(), "a volume that nobody mounts");
}

/// It has no more than it needs.
#[test]
fn it_is_confined() {
    let Some(manifest) = Manifest::read() else { return };
    assert_eq!(manifest.capabilities(), ["CAP_BPF", "CAP_PERFMON"]);
    let context = &manifest.container()["securityContext"];
    assert_eq!(context["allowPrivilegeEscalation"], false);
    assert_eq!(context["readOnlyRootFilesystem"], true);
    assert_eq!(context["seccompProfile"]["type"], "RuntimeDefault");
    assert!(context.get("privileged").is_none());
    assert_eq!(manifest.pod()["automountServiceAccountToken"], false);
}

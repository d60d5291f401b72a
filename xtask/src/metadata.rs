//! What `cargo metadata` tells of the workspace and its dependencies.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// The parts of `cargo metadata --format-version 1` that the chores need.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    /// Ours and foreign ones.
    pub(crate) packages: Vec<Package>,
    workspace_root: PathBuf,
    /// Where cargo puts what it builds.
    pub(crate) target_directory: PathBuf,
}

/// One package of the dependency tree.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// SPDX expression.
    pub(crate) license: Option<String>,
    /// Where it came from; none for a package of ours.
    pub(crate) source: Option<String>,
    pub(crate) dependencies: Vec<Dependency>,
    manifest_path: PathBuf,
}

/// One line of a package's dependency tables.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    kind: Option<String>,
    /// Folder, for a package of ours.
    pub(crate) path: Option<PathBuf>,
}

impl Dependency {
    /// Whether only tests, examples and benchmarks see it.
    pub(crate) fn is_dev(&self) -> bool {
        self.kind.as_deref() == Some("dev")
    }
}

/// The kind of platform that the server runs on. Packages that only others need do not count;
/// `targets` in deny.toml says the same.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

impl Metadata {
    /// Asks cargo.
    pub(crate) fn load(root: &Path) -> Result<Self> {
        let output = crate::cargo(root)
            .args(["metadata", "--format-version", "1", "--filter-platform", PLATFORM])
            .output()
            .context("cannot start `cargo metadata`")?;
        if !output.status.success() {
            bail!(
                "`cargo metadata` failed: {}",
                crate::without_addresses(&String::from_utf8_lossy(&output.stderr))
            );
        }
        serde_json::from_slice(&output.stdout).context("cannot read what `cargo metadata` says")
    }

    /// The packages of the workspace, each with its folder relative to the root.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&Package, String)> {
        self.packages
            .iter()
            .filter(|package| package.source.is_none())
            .map(|package| (package, self.folder(package.manifest_path.parent())))
    }

    /// A folder relative to the root, with `/`; empty for the root itself.
    pub(crate) fn folder(&self, path: Option<&Path>) -> String {
        let path = path.unwrap_or(&self.workspace_root);
        let relative = path.strip_prefix(&self.workspace_root).unwrap_or(path);
        let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
        parts.join("/")
    }
}

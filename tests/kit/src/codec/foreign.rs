use std::path::{Path, PathBuf};

use super::Subject;

/// Other people's test vectors, which are not in this repository: the file
/// `vectors/PROTOCOL/name` of the folder that `MANIFOLD_SHARED` names, else of the folder `shared`
/// beside the repository. `None` if it is not there, and says so.
#[must_use]
pub fn foreign_file<S: Subject>(name: &str) -> Option<String> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let shared = std::env::var_os("MANIFOLD_SHARED")
        .map_or_else(|| workspace.join("../shared"), PathBuf::from);
    let path = shared.join("vectors").join(S::PROTOCOL).join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) => {
            eprintln!("skipped: {}: {error}", path.display());
            None
        }
    }
}

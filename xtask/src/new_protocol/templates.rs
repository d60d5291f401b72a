//! The files of a new protocol.

use anyhow::{Context as _, Result};

use super::name::Name;

macro_rules! templates {
    ($($path:literal),* $(,)?) => {
        /// Each file with its path below `xtask/templates`.
        pub(super) const FILES: &[(&str, &str)] =
            &[$(($path, include_str!(concat!("../../templates/", $path)))),*];
    };
}

templates![
    "codec/Cargo.toml",
    "codec/src/code.rs",
    "codec/src/codec.rs",
    "codec/src/decode.rs",
    "codec/src/encode.rs",
    "codec/src/json.rs",
    "codec/src/lib.rs",
    "codec/src/limits.rs",
    "codec/src/packet.rs",
    "codec/src/packet_type.rs",
    "codec/src/violation.rs",
    "codec/tests/it/limits.rs",
    "codec/tests/it/main.rs",
    "codec/tests/it/suite.rs",
    "codec/tests/it/vectors.rs",
    "codec/vectors/packets.toml",
    "gateway/Cargo.toml",
    "gateway/src/client.rs",
    "gateway/src/config.rs",
    "gateway/src/lib.rs",
    "gateway/src/machine.rs",
    "gateway/src/mapping.rs",
    "gateway/src/redact.rs",
    "gateway/src/registration.rs",
    "gateway/src/settings.rs",
    "gateway/tests/it/compliance.rs",
    "gateway/tests/it/connect.rs",
    "gateway/tests/it/harness.rs",
    "gateway/tests/it/main.rs",
    "gateway/tests/it/messages.rs",
    "conformance/requirements.toml",
];

/// The vectors, whose bytes are the first seeds of the fuzz target.
const VECTORS: &str = include_str!("../../templates/codec/vectors/packets.toml");

/// The text with the protocol's name and the gateway's number filled in.
pub(super) fn fill(text: &str, name: &Name, id: u8) -> String {
    text.replace("__name__", name.as_str())
        .replace("__Name__", &name.in_types())
        .replace("__id__", &id.to_string())
}

/// Where in the workspace a template goes.
pub(super) fn path(template: &str, name: &Name) -> String {
    let (folder, rest) = template.split_once('/').unwrap_or((template, ""));
    let folder = match folder {
        "codec" => "codecs",
        "gateway" => "gateways",
        other => other,
    };
    format!("{folder}/{name}/{rest}")
}

/// The seeds of the fuzz target, each with its path in the workspace.
pub(super) fn seeds(name: &Name) -> Result<Vec<(String, Vec<u8>)>> {
    let vectors: toml::Table = VECTORS.parse().context("the template of the vectors")?;
    let mut seeds = Vec::new();
    for list in ["packets", "refused"] {
        let lines = vectors.get(list).and_then(toml::Value::as_array);
        for line in lines.context("a list of vectors")? {
            let hex = line.get(1).and_then(toml::Value::as_str).context("a vector's bytes")?;
            let folder = "tests/it/__fuzz__/suite__decode/corpus";
            let path = format!("codecs/{name}/{folder}/{list}-{:02}", seeds.len());
            seeds.push((path, bytes(hex).with_context(|| format!("vector {hex}"))?));
        }
    }
    Ok(seeds)
}

/// The bytes that `hex` says, with spaces anywhere between them.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| *byte != b' ').collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.len().is_multiple_of(2).then(|| digits.chunks(2).map(byte).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_listed() {
        let mut found = Vec::new();
        let folder = crate::workspace_root().join("xtask/templates");
        let mut folders = vec![folder.clone()];
        while let Some(next) = folders.pop() {
            for entry in std::fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let path = path.strip_prefix(&folder).unwrap();
                    found.push(path.to_str().unwrap().to_owned());
                }
            }
        }
        let mut listed: Vec<_> = FILES.iter().map(|(path, _)| path.to_string()).collect();
        found.sort();
        listed.sort();
        assert_eq!(listed, found);
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        let name = Name::parse("kettle").unwrap();
        for (path, text) in FILES {
            let filled = fill(text, &name, 9);
            let left = filled.replace("__fuzz__", "").contains("__");
            assert!(!left || path.ends_with("Cargo.toml"), "{path}");
        }
        assert_eq!(path("codec/src/lib.rs", &name), "codecs/kettle/src/lib.rs");
        assert!(seeds(&name).unwrap().len() > 30);
    }
}

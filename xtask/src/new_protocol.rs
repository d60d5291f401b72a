//! `cargo xtask new-protocol NAME`: a protocol that works, to be changed into another one.
//!
//! It writes `codecs/NAME`, `gateways/NAME` and `conformance/NAME` from the files in
//! `xtask/templates`, and a line in each of `Cargo.toml` and `src/gateways.rs`.

mod lists;
mod name;
mod templates;
mod trial;

use std::path::Path;

use anyhow::{Context as _, Result, bail};

pub(crate) use trial::run as try_out;

use crate::{cargo, command, trace};

use name::Name;

/// Runs the chore with its command line arguments.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let [name] = arguments else { bail!("new-protocol takes one name, such as `kettle`") };
    create(root, name)?;
    println!(
        "new-protocol: {name} is in codecs/{name}, gateways/{name} and conformance/{name}.\n\
         Next: change the packets, then `cargo test -p codec-{name} -p gateway-{name}`."
    );
    Ok(())
}

/// Creates the protocol in the workspace at `root`, formatted and with its report.
fn create(root: &Path, name: &str) -> Result<()> {
    let name = Name::parse(name)?;
    name.refuse_existing(root)?;
    let id = lists::next_gateway_id(root)?;
    let seeds = templates::seeds(&name)?;
    // What can fail comes before the first change.
    let manifest = lists::with_dependency(&read(root, lists::MANIFEST)?, &name)?;
    let gateways = lists::with_registration(&read(root, lists::GATEWAYS)?, &name)?;
    for (template, text) in templates::FILES {
        let text = templates::fill(text, &name, id);
        write(root, &templates::path(template, &name), text.as_bytes())?;
    }
    for (path, bytes) in seeds {
        write(root, &path, &bytes)?;
    }
    write(root, lists::MANIFEST, manifest.as_bytes())?;
    write(root, lists::GATEWAYS, gateways.as_bytes())?;
    let (codec, gateway) = (format!("codec-{name}"), format!("gateway-{name}"));
    // How lines are broken depends on how long the name is.
    command(cargo(root).args(["fmt", "-p", &codec, "-p", &gateway]))?;
    trace::report_one(root, name.as_str())
}

fn read(root: &Path, path: &str) -> Result<String> {
    std::fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"))
}

fn write(root: &Path, path: &str, bytes: &[u8]) -> Result<()> {
    let file = root.join(path);
    let folder = file.parent().context("a file without a folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {path}"))?;
    std::fs::write(&file, bytes).with_context(|| format!("cannot write {path}"))
}

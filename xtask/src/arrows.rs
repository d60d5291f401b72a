//! The dependency arrows between our crates: only downwards.

use std::path::Path;

use anyhow::{Result, bail};

use crate::metadata::Metadata;

/// Fails on the first look if a crate of ours depends on one that it must not know.
pub(crate) fn check(root: &Path) -> Result<()> {
    let metadata = Metadata::load(root)?;
    let mut arrows = 0;
    let mut wrong = Vec::new();
    for (package, from) in metadata.members() {
        for dependency in package.dependencies.iter().filter(|one| one.path.is_some()) {
            let to = metadata.folder(dependency.path.as_deref());
            arrows += 1;
            if !allowed(&from, &to, dependency.is_dev()) {
                let kind = if dependency.is_dev() { "dev-depends" } else { "depends" };
                wrong.push(format!(
                    "{} ({from}) {kind} on {} ({to}): {}",
                    package.name,
                    dependency.name,
                    rule(&from)
                ));
            }
        }
    }
    if !wrong.is_empty() {
        bail!("arrows that point up or sideways:\n  {}", wrong.join("\n  "));
    }
    println!("arrows: {arrows} dependencies between our crates, all downwards");
    Ok(())
}

/// What all protocols share, and the suites that their tests run: these know no protocol.
const SHARED: [&str; 4] = ["codecs/wire", "gateways/host", "gateways/transport", "plugins/access"];

/// Whether the crate in folder `from` may depend on the one in folder `to`.
fn allowed(from: &str, to: &str, dev: bool) -> bool {
    let (layer, _) = split(from);
    let (below, _) = split(to);
    if to == "tests/kit" && matches!(layer, "codecs" | "gateways") {
        return dev && !SHARED.contains(&from);
    }
    match layer {
        "tests" if from == "tests/kit" => below == "core" || SHARED.contains(&to),
        // These see everything, and are seen by nobody (the last arm of each other layer).
        "tests" | "xtask" => true,
        "" => matches!(below, "core" | "codecs" | "gateways" | "plugins" | "conformance"),
        "plugins" => to == "core/model",
        "conformance" => below == "codecs" || below == "conformance",
        "codecs" => to == "codecs/wire" && from != to,
        "core" => below == "core" && from != "core/model",
        "gateways" => gateway_allowed(from, to, below, dev),
        _ => false,
    }
}

fn gateway_allowed(from: &str, to: &str, below: &str, dev: bool) -> bool {
    match from {
        "gateways/transport" => below == "core" || to == "codecs/wire",
        "gateways/host" => below == "core" || to == "codecs/wire" || to == "gateways/transport",
        "gateways/settings" => matches!(to, "core/model" | "codecs/wire" | "gateways/host"),
        _ => match below {
            "codecs" => true,
            // The door to core is narrow: operations and events. Tests may run a whole engine.
            "core" => to == "core/model" || dev,
            "gateways" => {
                matches!(to, "gateways/host" | "gateways/settings" | "gateways/transport")
            }
            _ => false,
        },
    }
}

/// The rule for the crates of a folder, in words.
fn rule(from: &str) -> &'static str {
    match (split(from).0, from) {
        ("", _) => "the daemon may know core, codecs, gateways and conformance",
        ("conformance", _) => "conformance may know codecs",
        (_, "tests/kit") => "the suites for protocols may know core and what all protocols share",
        (_, "codecs/wire") => "codec-wire may know no crate of ours",
        ("codecs", _) => "a codec may know no crate of ours but codec-wire",
        (_, "core/model") => "core-model may know no crate of ours",
        ("core", _) => "core may know no codec and no gateway",
        (_, "gateways/transport") => "gateway-transport may know core and codec-wire",
        (_, "gateways/host") => "gateway-host may know core, codec-wire and gateway-transport",
        (_, "gateways/settings") => {
            "gateway-settings may know core-model, codec-wire and gateway-host"
        }
        ("plugins", _) => "a plug-in may know core-model",
        ("gateways", _) => {
            "a gateway may know codecs, core-model, gateway-host, gateway-settings and \
             gateway-transport"
        }
        _ => "xtask has no rule for this folder",
    }
}

/// The first part of a folder, and the rest.
fn split(folder: &str) -> (&str, &str) {
    folder.split_once('/').unwrap_or((folder, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_down_are_allowed() {
        for (from, to) in [
            ("", "gateways/mqtt"),
            ("", "core/broker"),
            ("conformance", "codecs/mqtt"),
            ("codecs/mqtt", "codecs/wire"),
            ("core/broker", "core/store"),
            ("core/store", "core/model"),
            ("gateways/host", "core/broker"),
            ("gateways/host", "gateways/transport"),
            ("gateways/mqtt", "gateways/host"),
            ("gateways/mqtt", "gateways/settings"),
            ("gateways/settings", "gateways/host"),
            ("gateways/lwm2m", "codecs/coap"),
            ("gateways/mqtt", "core/model"),
            ("tests/e2e", "gateways/mqtt"),
            ("tests/kit", "gateways/host"),
            ("tests/kit", "plugins/access"),
        ] {
            assert!(allowed(from, to, false), "{from} -> {to}");
        }
    }

    #[test]
    fn arrows_up_and_sideways_are_refused() {
        for (from, to) in [
            ("codecs/wire", "codecs/mqtt"),
            ("codecs/mqtt", "codecs/coap"),
            ("codecs/mqtt", "core/model"),
            ("core/model", "core/store"),
            ("core/broker", "codecs/mqtt"),
            ("core/broker", "gateways/host"),
            ("gateways/transport", "gateways/host"),
            ("gateways/host", "codecs/mqtt"),
            ("gateways/host", "gateways/mqtt"),
            ("gateways/host", "gateways/settings"),
            ("gateways/settings", "gateways/mqtt"),
            ("gateways/settings", "core/broker"),
            ("gateways/lwm2m", "gateways/coap"),
            ("gateways/mqtt", ""),
            ("conformance", "core/model"),
            ("", "tests/load"),
            ("", "tests/kit"),
            ("tests/kit", "codecs/mqtt"),
            ("tests/kit", "gateways/mqtt"),
            ("codecs/mqtt", "tests/kit"),
            ("", "xtask"),
            ("elsewhere", "core/model"),
        ] {
            assert!(!allowed(from, to, false), "{from} -> {to}");
            assert!(!rule(from).is_empty());
        }
    }

    #[test]
    fn only_the_tests_of_a_gateway_see_the_whole_core() {
        assert!(!allowed("gateways/mqtt", "core/broker", false));
        assert!(allowed("gateways/mqtt", "core/broker", true));
        assert!(!allowed("codecs/mqtt", "core/model", true));
    }

    #[test]
    fn only_the_tests_of_a_protocol_run_the_suites() {
        for from in ["codecs/mqtt", "gateways/mqtt"] {
            assert!(allowed(from, "tests/kit", true));
            assert!(!allowed(from, "tests/kit", false));
        }
        assert!(!allowed("gateways/host", "tests/kit", true));
    }
}

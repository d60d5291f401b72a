//! The two files that list the protocols.

use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::name::Name;

/// The daemon depends on every gateway.
pub(super) const MANIFEST: &str = "Cargo.toml";

/// It offers each of them.
pub(super) const GATEWAYS: &str = "src/gateways.rs";

/// Numbers of gateways from this one on are for others.
const FOREIGN_IDS: u8 = 128;

/// The manifest with the gateway as a dependency, in the order of the names.
pub(super) fn with_dependency(manifest: &str, name: &Name) -> Result<String> {
    let own = format!("gateway-{name}");
    let mut lines: Vec<&str> = manifest.lines().collect();
    let dependencies = lines.iter().position(|line| *line == "[dependencies]");
    let start = dependencies.with_context(|| format!("{MANIFEST} has no [dependencies]"))? + 1;
    let key = |line: &str| line.split(['.', ' ', '=']).next().unwrap_or("").to_owned();
    let behind = |line: &&str| line.is_empty() || key(line) > own;
    let len = lines.iter().skip(start).position(behind);
    let line = format!("{own} = {{ path = \"gateways/{name}\" }}");
    lines.insert(len.map_or(lines.len(), |len| start + len), &line);
    Ok(lines.join("\n") + "\n")
}

/// The list of gateways with one more at its end.
pub(super) fn with_registration(gateways: &str, name: &Name) -> Result<String> {
    let mut lines: Vec<&str> = gateways.lines().collect();
    let is_entry =
        |line: &&str| line.trim().starts_with("gateway_") && line.ends_with("::REGISTRATION,");
    let last = lines.iter().rposition(is_entry);
    let last = last.with_context(|| format!("{GATEWAYS} has no list of registrations"))?;
    let line = format!("        gateway_{name}::REGISTRATION,");
    lines.insert(last + 1, &line);
    Ok(lines.join("\n") + "\n")
}

/// The number behind the greatest one that a gateway has; one that was given up is not used again.
pub(super) fn next_gateway_id(root: &Path) -> Result<u8> {
    let mut greatest = 0;
    for entry in std::fs::read_dir(root.join("gateways")).context("cannot read gateways")? {
        let file = entry.context("cannot read gateways")?.path().join("src/lib.rs");
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        greatest = greatest.max(gateway_id(&text).unwrap_or(0));
    }
    if greatest == 0 || greatest + 1 >= FOREIGN_IDS {
        bail!("no number is left for a gateway: the greatest one is {greatest}");
    }
    Ok(greatest + 1)
}

/// The number in a gateway's `lib.rs`.
fn gateway_id(text: &str) -> Option<u8> {
    let line = text.lines().find(|line| line.starts_with("pub const GATEWAY_ID"))?;
    let (_, number) = line.split_once("= GatewayId(")?;
    number.split_once(')')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn a_dependency_is_one_line_in_its_place() {
        let manifest = "[workspace]\n\n[dependencies]\nanyhow.workspace = true\n\
                        gateway-mqtt.workspace = true\ntoml.workspace = true\n\n[lints]\n";
        let line = "gateway-kettle = { path = \"gateways/kettle\" }\n";
        let expected = manifest.replace("gateway-mqtt", &format!("{line}gateway-mqtt"));
        assert_eq!(with_dependency(manifest, &name("kettle")).unwrap(), expected);
        let line = "gateway-zeal = { path = \"gateways/zeal\" }\n";
        let expected = manifest.replace("toml", &format!("{line}toml"));
        assert_eq!(with_dependency(manifest, &name("zeal")).unwrap(), expected);
        assert!(with_dependency("[workspace]\n", &name("zeal")).is_err());
    }

    #[test]
    fn a_registration_is_one_line_behind_the_others() {
        let list = "    &[\n        // c\n        gateway_mqtt::REGISTRATION,\n    ]\n";
        let expected = list.replace("    ]", "        gateway_a::REGISTRATION,\n    ]");
        assert_eq!(with_registration(list, &name("a")).unwrap(), expected);
        assert!(with_registration("    &[]\n", &name("a")).is_err());
    }

    #[test]
    fn numbers_are_read_from_the_gateways() {
        let text = "/// x\npub const GATEWAY_ID: GatewayId = GatewayId(7);\n";
        assert_eq!((gateway_id(text), gateway_id("")), (Some(7), None));
        assert!(next_gateway_id(&crate::workspace_root()).unwrap() > 1);
    }
}

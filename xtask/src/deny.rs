//! Licences and bans of `deny.toml`, checked against every package of the dependency tree.
//!
//! A small part of cargo-deny's work, without its build time: no advisories, no confidence in
//! licence texts, only what the packages declare.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::metadata::{Metadata, Package};

/// The tables of `deny.toml` that are checked here.
#[derive(Debug, Deserialize)]
struct Rules {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Debug, Deserialize)]
struct Licenses {
    allow: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Debug, Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
}

/// Fails if a dependency is banned, comes from no registry, or has a licence that is not allowed.
pub(crate) fn check(root: &Path) -> Result<()> {
    let file = root.join("deny.toml");
    let text = std::fs::read_to_string(&file).context("cannot read deny.toml")?;
    let rules: Rules = toml::from_str(&text).context("cannot read deny.toml")?;
    let metadata = Metadata::load(root)?;
    let foreign: Vec<_> = metadata.packages.iter().filter(|one| one.source.is_some()).collect();
    let wrong: Vec<String> = foreign.iter().filter_map(|package| fault(package, &rules)).collect();
    if !wrong.is_empty() {
        bail!("dependencies that deny.toml refuses:\n  {}", wrong.join("\n  "));
    }
    println!("deny: {} dependencies, licences and bans hold", foreign.len());
    Ok(())
}

/// Why a package is refused, if it is.
fn fault(package: &Package, rules: &Rules) -> Option<String> {
    let Package { name, version, .. } = package;
    if rules.bans.deny.iter().any(|ban| ban.name == *name) {
        return Some(format!("{name} {version}: banned"));
    }
    if !package.source.as_deref().unwrap_or_default().starts_with("registry+") {
        return Some(format!("{name} {version}: comes from no registry"));
    }
    let Some(license) = &package.license else {
        return Some(format!("{name} {version}: declares no licence"));
    };
    match satisfied(license, &rules.licenses.allow) {
        Ok(true) => None,
        Ok(false) => Some(format!("{name} {version}: licence `{license}` is not allowed")),
        Err(error) => Some(format!("{name} {version}: licence `{license}`: {error}")),
    }
}

/// Whether the allowed licences alone satisfy an SPDX expression.
fn satisfied(expression: &str, allow: &BTreeSet<String>) -> Result<bool> {
    // Old manifests write "MIT/Apache-2.0" for "MIT OR Apache-2.0".
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = Words { words: spaced.split_whitespace().collect(), at: 0 };
    let holds = words.any_of(allow)?;
    match words.next() {
        None => Ok(holds),
        Some(word) => bail!("`{word}` is out of place"),
    }
}

/// A reader of SPDX expressions; AND binds tighter than OR, WITH tighter than both.
struct Words<'a> {
    words: Vec<&'a str>,
    at: usize,
}

impl<'a> Words<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).copied()
    }

    fn next(&mut self) -> Option<&'a str> {
        let word = self.peek();
        self.at += 1;
        word
    }

    /// Takes the next word if it is this one.
    fn take(&mut self, word: &str) -> bool {
        let found = self.peek() == Some(word);
        if found {
            self.at += 1;
        }
        found
    }

    fn any_of(&mut self, allow: &BTreeSet<String>) -> Result<bool> {
        let mut holds = self.all_of(allow)?;
        while self.take("OR") {
            holds |= self.all_of(allow)?;
        }
        Ok(holds)
    }

    fn all_of(&mut self, allow: &BTreeSet<String>) -> Result<bool> {
        let mut holds = self.one(allow)?;
        while self.take("AND") {
            holds &= self.one(allow)?;
        }
        Ok(holds)
    }

    fn one(&mut self, allow: &BTreeSet<String>) -> Result<bool> {
        if self.take("(") {
            let holds = self.any_of(allow)?;
            if !self.take(")") {
                bail!("a parenthesis is not closed");
            }
            return Ok(holds);
        }
        let Some(name) = self.next().filter(|word| !["AND", "OR", "WITH", ")"].contains(word))
        else {
            bail!("a licence name is missing");
        };
        if self.take("WITH") {
            let Some(exception) = self.next() else { bail!("the name after WITH is missing") };
            return Ok(allow.contains(&format!("{name} WITH {exception}")));
        }
        Ok(allow.contains(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(expression: &str) -> Result<bool> {
        let allow = ["MIT", "Apache-2.0", "ISC", "Apache-2.0 WITH LLVM-exception"];
        satisfied(expression, &allow.map(String::from).into())
    }

    #[test]
    fn expressions_are_evaluated() {
        for (expression, expected) in [
            ("MIT", true),
            ("GPL-3.0-only", false),
            ("MIT OR GPL-3.0-only", true),
            ("MIT AND GPL-3.0-only", false),
            ("GPL-3.0-only OR MIT AND ISC", true),
            ("(GPL-3.0-only OR MIT) AND ISC", true),
            ("(GPL-3.0-only OR MIT) AND BSL-1.0", false),
            ("MIT/Apache-2.0", true),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("MIT WITH LLVM-exception", false),
            ("MIT OR (Apache-2.0 AND (GPL-3.0-only OR ISC))", true),
        ] {
            assert_eq!(holds(expression).unwrap(), expected, "{expression}");
        }
    }

    #[test]
    fn broken_expressions_are_refused() {
        for expression in ["", "MIT OR", "(MIT", "MIT)", "MIT Apache-2.0", "AND", "MIT WITH"] {
            assert!(holds(expression).is_err(), "{expression}");
        }
    }

    fn package(name: &str, license: Option<&str>, source: &str) -> Package {
        let json = serde_json::json!({
            "name": name, "version": "1.0.0", "license": license, "source": source,
            "dependencies": [], "manifest_path": "/nowhere/Cargo.toml",
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn each_fault_of_a_package_is_named() {
        let rules: Rules = toml::from_str(
            "[licenses]\nallow = [\"MIT\"]\n[bans]\ndeny = [{ crate = \"openssl-sys\" }]\n",
        )
        .unwrap();
        let registry = "registry+https://registry.example/index";
        let mut faults = Vec::new();
        for package in [
            package("fine", Some("MIT"), registry),
            package("openssl-sys", Some("MIT"), registry),
            package("cloned", Some("MIT"), "git+https://git.example/cloned"),
            package("silent", None, registry),
            package("copyleft", Some("GPL-3.0-only"), registry),
        ] {
            faults.extend(fault(&package, &rules));
        }
        assert_eq!(
            faults,
            [
                "openssl-sys 1.0.0: banned",
                "cloned 1.0.0: comes from no registry",
                "silent 1.0.0: declares no licence",
                "copyleft 1.0.0: licence `GPL-3.0-only` is not allowed",
            ]
        );
    }
}

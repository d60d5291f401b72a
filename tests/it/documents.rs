//! The generated default file and reference.

use std::path::Path;

use manifold::config::{Config, default_file, markdown};

#[test]
fn the_default_file_is_good_and_means_the_defaults() {
    let gateways = manifold::gateways();
    let text = default_file(gateways);
    let written = match Config::read(Path::new("default.toml"), &text, gateways) {
        Ok(config) => config,
        Err(complaints) => panic!("{complaints}"),
    };
    let unwritten = Config::without_file(gateways).unwrap_or_else(|c| panic!("{c}"));
    assert_eq!(written.node, unwritten.node);
    assert_eq!(written.listeners.len(), 1);
    assert_eq!(written.listeners[0].table, unwritten.listeners[0].table);
}

#[test]
fn the_default_file_says_something_about_every_key() {
    let text = default_file(manifold::gateways());
    let mut commented = false;
    for line in text.lines() {
        if line.contains(" = ") && !line.starts_with("# ") {
            assert!(commented, "no manual above: {line}");
        }
        // The manual of a table whose keys are the operator's stands above its header.
        let is_header = line.trim_start_matches('#').starts_with('[');
        commented = line.starts_with("# ") || (commented && is_header);
        assert!(line.chars().count() <= 200, "too long: {line}");
    }
}

/// To renew it: `cargo run -- config --markdown > docs/configuration.md`.
#[test]
fn the_reference_is_up_to_date() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let committed = std::fs::read_to_string(file).unwrap();
    assert!(
        committed == markdown(manifold::gateways()),
        "docs/configuration.md is stale: cargo run -- config --markdown > docs/configuration.md"
    );
}

#[test]
fn the_examples_of_the_readme_are_good() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(file).unwrap();
    let examples: Vec<_> = readme.split("```toml\n").skip(1).collect();
    assert!(examples.len() > 1);
    for example in examples {
        let (example, _) = example.split_once("```").expect("an end of the example");
        let file = Path::new("README.md");
        if let Err(complaints) = Config::read(file, example, manifold::gateways()) {
            panic!("{complaints}");
        }
    }
}

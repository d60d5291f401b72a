//! Measurements of the release build.

use anyhow::{Result, bail};

/// Runs the benchmarks that `arguments` name.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    bail!("there is no benchmark to run yet (asked for: {arguments:?})")
}

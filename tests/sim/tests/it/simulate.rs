//! Random runs of whole nodes. `SIM_SEED=n` runs one seed, `SIM_SEEDS=n` that many; with
//! `SIM_SURVEY=1` all of them, and the first fault of each is listed. `SIM_TRACE=n` shows more of
//! the trace.

use tests_sim::rng::Rng;
use tests_sim::workload::{Profile, Sim};

/// Runs simulations, and shows the seed of one that fails.
fn simulate(name: &str, seeds: u64, profile: fn(&mut Rng) -> Profile) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (first, count) = match (number("SIM_SEED"), number("SIM_SEEDS")) {
        (Some(seed), count) => (seed, count.unwrap_or(1)),
        (None, count) => (0, count.unwrap_or(seeds)),
    };
    let survey = number("SIM_SURVEY").is_some();
    let mut failed = Vec::new();
    for seed in first..first + count {
        let again = format!("SIM_SEED={seed} cargo test -p tests-sim {name}");
        let run = std::panic::catch_unwind(|| {
            let mut sim = Sim::new(seed, profile(&mut Rng::new(seed)));
            sim.run();
            if !sim.world.witness.has_faults() {
                sim.finish();
            }
            sim.world
                .witness
                .first_fault()
                .map(|first| if survey { first.to_string() } else { sim.world.witness.report() })
        });
        match run {
            Ok(None) => {}
            Ok(Some(report)) if survey => failed.push(format!("{seed}: {report}")),
            Ok(Some(report)) => panic!("{report}\nagain: {again}"),
            Err(_) => panic!("panicked; again: {again}"),
        }
    }
    let text = failed.join("\n");
    assert!(failed.is_empty(), "{text}\n{} of {count} seeds", failed.len());
}

#[test]
fn lossless() {
    simulate("lossless", 200, Profile::lossless);
}

#[test]
fn tight() {
    simulate("tight", 100, Profile::tight);
}

use std::panic::{AssertUnwindSafe, catch_unwind};

use tests_sim::workload::Sim;

/// Runs `run` for many seeds, and shows the seed of the one that fails: the first, or with
/// `SIM_SURVEY=1` all of them with their first fault. `SIM_SEED=n` runs one, `SIM_SEEDS=n` that many.
pub(crate) fn for_seeds(name: &str, seeds: u64, run: impl Fn(u64) -> Sim) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (first, count) = match (number("SIM_SEED"), number("SIM_SEEDS")) {
        (Some(seed), count) => (seed, count.unwrap_or(1)),
        (None, count) => (0, count.unwrap_or(seeds)),
    };
    let survey = number("SIM_SURVEY").is_some();
    let mut failed = Vec::new();
    for seed in first..first + count {
        let again = format!("SIM_SEED={seed} cargo test -p tests-sim {name}");
        match catch_unwind(AssertUnwindSafe(|| run(seed))) {
            Ok(sim) => match sim.world.witness.first_fault() {
                None => {}
                Some(first) if survey => failed.push(format!("{seed}: {first}")),
                Some(_) => panic!("{}\nagain: {again}", sim.world.witness.report()),
            },
            Err(_) => panic!("panicked; again: {again}"),
        }
    }
    let text = failed.join("\n");
    assert!(failed.is_empty(), "{text}\n{} of {count} seeds", failed.len());
}

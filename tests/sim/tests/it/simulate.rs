//! Random runs of whole nodes.

use tests_sim::rng::Rng;
use tests_sim::workload::{Profile, Sim};

use crate::seeds::for_seeds;

fn simulate(name: &str, seeds: u64, profile: fn(&mut Rng) -> Profile) {
    for_seeds(name, seeds, |seed| {
        let mut sim = Sim::new(seed, profile(&mut Rng::new(seed)));
        sim.run();
        if !sim.world.witness.has_faults() {
            sim.finish();
        }
        sim
    });
}

//= mqtt5:3.3.1-1
//= mqtt5:3.3.1-2
//= mqtt5:3.3.1-3
//= mqtt5:3.3.2-3
//= mqtt5:3.3.4-2
//= mqtt5:3.3.4-3
//= mqtt5:3.3.4-4
//= mqtt5:3.3.4-9
//= mqtt5:3.8.3-3
//= mqtt5:3.8.4-8
//= mqtt5:4.1.0-1
//= mqtt5:4.3.1-1
//= mqtt5:4.3.2-1
//= mqtt5:4.3.2-2
//= mqtt5:4.3.2-3
//= mqtt5:4.3.2-4
//= mqtt5:4.3.3-1
//= mqtt5:4.3.3-2
//= mqtt5:4.3.3-3
//= mqtt5:4.3.3-4
//= mqtt5:4.3.3-5
//= mqtt5:4.3.3-6
//= mqtt5:4.3.3-8
//= mqtt5:4.3.3-10
//= mqtt5:4.3.3-11
//= mqtt5:4.3.3-12
//= mqtt5:4.4.0-1
//= mqtt5:4.4.0-2
//= mqtt5:4.5.0-1
//= mqtt5:4.6.0-1
//= mqtt5:4.6.0-2
//= mqtt5:4.6.0-3
//= mqtt5:4.6.0-5
//= mqtt5:4.6.0-6
//= mqtt5:4.8.2-3
//= mqtt5:4.8.2-4
//= mqtt5:4.8.2-5
//= mqtt5:4.8.2-6
//= mqtt5:4.9.0-1
//= mqtt5:4.9.0-2
//= mqtt311:3.3.1-1
//= mqtt311:3.3.1-2
//= mqtt311:3.3.1-3
//= mqtt311:3.3.2-3
//= mqtt311:3.3.5-1
//= mqtt311:3.8.4-6
//= mqtt311:4.1.0-1
//= mqtt311:4.1.0-2
//= mqtt311:4.3.1-1
//= mqtt311:4.3.2-1
//= mqtt311:4.3.2-2
//= mqtt311:4.3.3-1
//= mqtt311:4.3.3-2
//= mqtt311:4.4.0-1
//= mqtt311:4.5.0-1
//= mqtt311:4.6.0-1
//= mqtt311:4.6.0-2
//= mqtt311:4.6.0-3
//= mqtt311:4.6.0-5
//= mqtt311:4.6.0-6
#[test]
fn lossless_nodes_keep_all_promises() {
    simulate("lossless_nodes_keep_all_promises", 1_500, Profile::lossless);
}

//= mqtt5:3.3.2-5
//= mqtt5:4.6.0-5
#[test]
fn tight_nodes_lose_only_what_their_limits_say() {
    simulate("tight_nodes_lose_only_what_their_limits_say", 1_000, Profile::tight);
}

#[test]
fn sleepers_get_what_waits_as_they_ask_for_it() {
    simulate("sleepers_get_what_waits_as_they_ask_for_it", 1_000, Profile::sleeping);
}

#[test]
fn guarded_nodes_let_nobody_around_their_guards() {
    simulate("guarded_nodes_let_nobody_around_their_guards", 1_000, Profile::guarded);
}

#[test]
fn crashing_nodes_keep_what_they_have_acknowledged() {
    simulate("crashing_nodes_keep_what_they_have_acknowledged", 1_000, Profile::crashing);
}

#[test]
fn a_seed_makes_the_same_run_again() {
    let run = |seed| {
        let mut sim = Sim::new(seed, Profile::crashing(&mut Rng::new(seed)));
        sim.run();
        sim.finish();
        sim.world.witness.report()
    };
    for seed in 0..20 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
}

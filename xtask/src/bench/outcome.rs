//! What the runs of a scenario yielded.

use std::collections::BTreeMap;

use serde_json::Value;

use super::scenario::{Figure, Goal, Scenario};
use super::server::Kind;

/// All runs of a scenario, by server.
pub(crate) struct Outcome {
    pub(crate) scenario: &'static Scenario,
    /// A run is what the load generator printed, in the order of its calls.
    runs: BTreeMap<Kind, Vec<Vec<Value>>>,
}

/// Whether a goal was reached. Noise may add a tenth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    NoGoal,
    Reached,
    Missed,
}

const NOISE: f64 = 1.1;

/// Messages that a run should have delivered and did not, or not in order.
const FAULTS: [&str; 6] = ["lost", "gaps", "reordered", "stalls", "closed", "failed"];

impl Outcome {
    pub(crate) fn new(scenario: &'static Scenario) -> Self {
        Self { scenario, runs: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, kind: Kind, run: Vec<Value>) {
        self.runs.entry(kind).or_default().push(run);
    }

    /// The median of a figure over the runs of a server.
    pub(crate) fn median(&self, kind: Kind, figure: &Figure) -> Option<f64> {
        let runs = self.runs.get(&kind)?;
        median(runs.iter().filter_map(|run| (figure.value)(run)).collect())
    }

    /// Our figure as a part of another's.
    pub(crate) fn ratio(&self, figure: &Figure, to: Kind) -> Option<f64> {
        let (ours, theirs) = (self.median(Kind::Manifold, figure)?, self.median(to, figure)?);
        (theirs > 0.0).then_some(ours / theirs)
    }

    pub(crate) fn verdict(&self, figure: &Figure) -> Verdict {
        let (reached, allowed) = match figure.goal {
            Goal::None => return Verdict::NoGoal,
            Goal::OfMosquitto(part) => (self.ratio(figure, Kind::Mosquitto), part),
            Goal::AtMost(most) => (self.median(Kind::Manifold, figure), most),
        };
        match reached {
            Some(reached) if reached <= allowed * NOISE => Verdict::Reached,
            _ => Verdict::Missed,
        }
    }

    /// Faults of a server over all its runs: name and number, without those that did not happen.
    pub(crate) fn faults(&self, kind: Kind) -> Vec<(&'static str, u64)> {
        let results: Vec<&Value> = self.runs.get(&kind).into_iter().flatten().flatten().collect();
        let sum = |name| results.iter().filter_map(|one| one.get(name)?.as_u64()).sum();
        let mut faults: Vec<(&str, u64)> = FAULTS.iter().map(|name| (*name, sum(name))).collect();
        // Retained messages that were not handed out again.
        let missing = |one: &&Value| match one.get("mode")?.as_str()? {
            "retain" => {
                Some(one.get("sent")?.as_u64()?.saturating_sub(one.get("received")?.as_u64()?))
            }
            _ => None,
        };
        faults.push(("missing", results.iter().filter_map(missing).sum()));
        faults.retain(|(_, number)| *number > 0);
        faults
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(*values.get(middle - 1)?, upper))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::scenario::SCENARIOS;
    use super::*;

    fn outcome(ours: f64, mosquitto: f64) -> Outcome {
        let mut outcome = Outcome::new(&SCENARIOS[0]);
        for (kind, cpu) in [(Kind::Manifold, ours), (Kind::Mosquitto, mosquitto)] {
            outcome.add(kind, vec![json!({"srv_cpu_s_per_M": cpu, "lost": 2, "gaps": 0})]);
        }
        outcome
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn goals_are_ratios_with_a_tenth_for_noise() {
        let figure = &SCENARIOS[0].figures[0];
        assert_eq!(outcome(1.6, 10.0).verdict(figure), Verdict::Reached);
        assert_eq!(outcome(1.7, 10.0).verdict(figure), Verdict::Missed);
        // Without the other's figure nothing is reached.
        assert_eq!(outcome(1.0, 0.0).verdict(figure), Verdict::Missed);
    }

    #[test]
    fn faults_are_summed_and_named() {
        assert_eq!(outcome(1.0, 1.0).faults(Kind::Manifold), [("lost", 2)]);
    }
}

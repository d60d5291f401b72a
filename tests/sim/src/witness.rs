use std::fmt::Write as _;

use crate::checkers::{Checker, Faults};
use crate::ledger::Ledger;
use crate::trace::{Entry, Step};

/// Entries of the trace that a failure shows, counted from its end.
const SHOWN: usize = 150;

/// Keeps the trace, and shows it to the checkers.
#[derive(Default)]
pub struct Witness {
    trace: Vec<Entry>,
    /// What is known for sure.
    pub ledger: Ledger,
    checkers: Vec<Box<dyn Checker>>,
    faults: Faults,
}

impl Witness {
    /// A witness with these checkers.
    #[must_use]
    pub fn new(checkers: Vec<Box<dyn Checker>>) -> Self {
        Witness { checkers, ..Witness::default() }
    }

    /// Takes one more entry.
    pub fn see(&mut self, entry: Entry) {
        let quiet = |entry: &Entry| matches!(entry, Entry::Quiet);
        if quiet(&entry) && self.trace.last().is_none_or(quiet) {
            return;
        }
        let step = self.trace.len() + 1;
        // Checkers see the facts as they were before, but for what the entry itself adds.
        self.ledger.see(step, &entry);
        for checker in &mut self.checkers {
            checker.see(&self.ledger, step, &entry, &mut self.faults);
        }
        self.trace.push(entry);
    }

    /// The run is over, and at rest: what should have happened by now?
    pub fn finish(&mut self) {
        for checker in &mut self.checkers {
            checker.finish(&self.ledger, &mut self.faults);
        }
    }

    /// How far the trace is.
    #[must_use]
    pub fn step(&self) -> Step {
        self.trace.len()
    }

    /// Adds something that is wrong.
    pub fn fault(&mut self, text: String) {
        self.faults.add(text);
    }

    /// Whether anything was wrong so far.
    #[must_use]
    pub fn has_faults(&self) -> bool {
        !self.faults.is_empty()
    }

    /// The first thing that was wrong.
    #[must_use]
    pub fn first_fault(&self) -> Option<&str> {
        self.faults.iter().next()
    }

    /// What was wrong, and the end of the trace.
    #[must_use]
    pub fn report(&self) -> String {
        let mut text = String::new();
        let shown = std::env::var("SIM_TRACE").ok().and_then(|n| n.parse().ok()).unwrap_or(SHOWN);
        let from = self.trace.len().saturating_sub(shown);
        for (place, entry) in self.trace.iter().enumerate().skip(from) {
            let _ = writeln!(text, "{:6} {entry}", place + 1);
        }
        for fault in self.faults.iter() {
            let _ = writeln!(text, "FAULT: {fault}");
        }
        text
    }
}

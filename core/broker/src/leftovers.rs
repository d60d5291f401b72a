use crate::shard::Shard;

impl Shard {
    /// What is still remembered, by name and count, without the empty ones; for tests that nothing
    /// stays behind when everybody has left.
    #[doc(hidden)]
    #[must_use]
    pub fn leftovers(&self) -> Vec<(&'static str, usize)> {
        let counts = [
            ("sessions", self.sessions.len()),
            ("session keys", self.by_key.len()),
            ("slots", self.slots.len()),
            ("authentications", self.attempts.len() + self.reauthenticating.len()),
            ("look-ups", self.attempts.running()),
            ("reports", self.reports.len()),
            ("filters", usize::from(!self.routes.is_empty())),
            ("retained", self.retained.len()),
            ("requests", self.requests.len()),
            ("pulls", self.pulls.len()),
            ("groups", self.groups.len()),
            ("gates", self.journal.gates()),
            ("notes", self.notes.len()),
            ("timers", self.timers.len()),
            ("work", self.work.len()),
        ];
        counts.into_iter().filter(|(_, count)| *count > 0).collect()
    }
}

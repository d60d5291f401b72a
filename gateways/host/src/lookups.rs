//! Look-ups that take time, such as password hashes and questions to other servers.

use std::sync::Arc;
use std::time::Duration;

use core_broker::LookupId;
use core_model::{Lookup, Reason, Verdict};

use crate::events::HostEvent;
use crate::shard_loop::ShardLoop;
use crate::shared::Command;

/// Look-ups of one shard that run at once, whether their clients still wait or not.
const LOOKUPS_MAX: usize = 16 * 1024;

impl ShardLoop {
    /// Runs the look-ups that the core has asked for in this turn beside the shards, each for a
    /// limited time. The shard is told the verdicts by its desk.
    pub(crate) fn start_lookups(&mut self) {
        if self.links.lookups.is_empty() {
            return;
        }
        let limit = Duration::from_millis(self.links.limits.lookup_timeout_ms);
        for (id, lookup) in std::mem::take(&mut self.links.lookups) {
            // Those of clients that have gone meanwhile run on.
            if Arc::strong_count(&self.lookups_running) > LOOKUPS_MAX {
                self.answer(id, Verdict::Refuse(Reason::SERVER_BUSY));
                continue;
            }
            let (node, shard) = (Arc::clone(&self.node), self.id);
            let running = Arc::clone(&self.lookups_running);
            self.node.side.spawn(async move {
                let verdict = judge(lookup, limit).await;
                drop(running);
                // Dropped when the shard has ended.
                node.command(shard, Command::Run(Box::new(move |shard| shard.answer(id, verdict))));
            });
        }
    }

    fn answer(&mut self, id: LookupId, verdict: Verdict) {
        self.shard.answer(self.links.now, id, verdict, &mut self.links);
        self.apply_pending();
    }
}

/// What a look-up says. One that takes too long, panics, or wants to look up again refuses the
/// client.
async fn judge(lookup: Lookup, limit: Duration) -> Verdict {
    let failure = match run_alone(lookup, limit).await {
        Ok(Verdict::Later(_)) => HostEvent::LookupFailed { fault: "it wants to look up again" },
        Ok(verdict) => return verdict,
        Err(failure) => failure,
    };
    failure.emit();
    Verdict::Refuse(Reason::SERVER_UNAVAILABLE)
}

/// A task of its own keeps a panic from others.
async fn run_alone(lookup: Lookup, limit: Duration) -> Result<Verdict, HostEvent<'static>> {
    let mut task = tokio::spawn(lookup);
    match tokio::time::timeout(limit, &mut task).await {
        Ok(Ok(verdict)) => Ok(verdict),
        Ok(Err(_)) => Err(HostEvent::LookupFailed { fault: "it panicked" }),
        Err(_) => {
            task.abort();
            Err(HostEvent::LookupTimedOut)
        }
    }
}

#[cfg(test)]
mod tests {
    use core_model::Identity;

    use super::*;
    use crate::side::Side;

    fn verdict_of(lookup: Lookup, limit: Duration) -> Verdict {
        let side = Side::start(1).unwrap();
        side.handle().block_on(judge(lookup, limit))
    }

    #[test]
    fn a_verdict_is_passed_on() {
        let verdict = verdict_of(
            Box::pin(async {
                tokio::task::yield_now().await;
                Verdict::Accept(Identity::of_user("jo"))
            }),
            Duration::from_secs(60),
        );
        assert!(matches!(verdict, Verdict::Accept(who) if who.user.as_deref() == Some("jo")));
    }

    #[test]
    fn a_look_up_that_fails_refuses() {
        let hanging: Lookup = Box::pin(std::future::pending());
        let broken: Lookup = Box::pin(async { panic!("on purpose") });
        let endless: Lookup = Box::pin(async { Verdict::Later(Box::pin(std::future::pending())) });
        for (lookup, limit_ms) in [(hanging, 1), (broken, 60_000), (endless, 60_000)] {
            let verdict = verdict_of(lookup, Duration::from_millis(limit_ms));
            assert!(matches!(verdict, Verdict::Refuse(Reason::SERVER_UNAVAILABLE)), "{verdict:?}");
        }
    }

    #[test]
    fn a_look_up_that_takes_too_long_is_dropped() {
        let alive = Arc::new(());
        let held = Arc::clone(&alive);
        let side = Side::start(1).unwrap();
        let lookup: Lookup = Box::pin(async move {
            let _held = held;
            std::future::pending().await
        });
        let verdict = side.handle().block_on(judge(lookup, Duration::from_millis(1)));
        assert!(matches!(verdict, Verdict::Refuse(_)));
        let start = std::time::Instant::now();
        while Arc::strong_count(&alive) > 1 {
            assert!(start.elapsed() < Duration::from_secs(30));
            std::thread::yield_now();
        }
    }
}

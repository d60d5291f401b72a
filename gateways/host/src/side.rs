//! The runtime beside the shards, for work that takes long or waits for others: handshakes,
//! look-ups, and what the server offers its operators.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// How much the side's threads give way to the shards'.
const NICENESS: i32 = 10;

/// Threads beside the shards, of lower priority where the system allows, that run futures. What is
/// still under way when it is dropped ends at its next point of waiting; nobody waits for it.
#[derive(Debug)]
pub(crate) struct Side {
    /// Only taken at the end.
    runtime: Option<Runtime>,
    handle: Handle,
}

impl Side {
    /// With so many threads, at least one. Blocking work has threads of its own, which end when
    /// they are idle.
    ///
    /// # Errors
    /// The system lacks threads or descriptors.
    pub(crate) fn start(threads: usize) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("side")
            .enable_io()
            .enable_time()
            .on_thread_start(|| {
                // Where it is not allowed the threads are as important as others.
                let _ = rustix::process::nice(NICENESS);
            })
            .build()?;
        let handle = runtime.handle().clone();
        Ok(Side { runtime: Some(runtime), handle })
    }

    /// What futures are given to; after the end it drops them. A panic in one ends nothing else.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A blocking task may hang in a foreign library, and the caller may be a future itself.
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn its_threads_give_way() {
        let side = Side::start(1).unwrap();
        let (say, said) = mpsc::channel();
        let own = rustix::process::getpriority_process(None).unwrap();
        side.handle().spawn(async move {
            say.send(rustix::process::getpriority_process(None).unwrap()).unwrap();
        });
        assert_eq!(said.recv_timeout(PATIENCE).unwrap(), (own + NICENESS).min(19));
        assert_eq!(rustix::process::getpriority_process(None).unwrap(), own);
    }

    #[test]
    fn its_end_waits_for_nobody() {
        let side = Side::start(1).unwrap();
        let handle = side.handle().clone();
        let (say, said) = mpsc::channel::<()>();
        let (hold, held) = mpsc::channel::<()>();
        handle.spawn(async move {
            let _say = say;
            std::future::pending::<()>().await;
        });
        let (begin, begun) = mpsc::channel();
        drop(handle.spawn_blocking(move || {
            begin.send(()).unwrap();
            // Until the test is over.
            let _ = held.recv();
        }));
        begun.recv_timeout(PATIENCE).unwrap();
        drop(side);
        // The waiting future was dropped.
        assert_eq!(said.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
        drop(handle.spawn(async { panic!("runs after the end") }));
        drop(hold);
    }

    #[test]
    fn a_panic_ends_nothing_else() {
        let side = Side::start(1).unwrap();
        let (say, said) = mpsc::channel();
        side.handle().spawn(async { panic!("on purpose") });
        side.handle().spawn(async move { say.send(7).unwrap() });
        assert_eq!(said.recv_timeout(PATIENCE), Ok(7));
    }
}

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;

use core_model::ShardId;

/// What one shard has for another at the end of a turn.
#[derive(Debug)]
pub(crate) struct Batch<M, A> {
    /// Mail of the core, in order.
    pub(crate) mail: Vec<M>,
    /// Links and sockets that change their shard.
    pub(crate) arrivals: Vec<A>,
}

/// A bounded first-in first-out queue of batches from one shard to another. Its lock is taken once
/// per batch and held for a few instructions. Aligned, so that no two rings share a cache line.
#[derive(Debug)]
#[repr(align(128))]
struct Ring<M, A> {
    state: Mutex<RingState<M, A>>,
}

#[derive(Debug)]
struct RingState<M, A> {
    batches: VecDeque<Batch<M, A>>,
    /// The sender found it full and wants to be woken.
    sender_waits: bool,
    /// An emptied buffer on its way back to the sender.
    spare: Vec<M>,
}

/// What wakes a shard that sleeps. Each shard looks at its own once a turn.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Bell {
    rung: AtomicBool,
    waker: OnceLock<Waker>,
}

/// The rings between all shards of a node, and the bells that wake them.
#[derive(Debug)]
pub(crate) struct Mesh<M, A> {
    shards: u16,
    capacity: usize,
    /// `from * shards + to`.
    rings: Vec<Ring<M, A>>,
    bells: Vec<Bell>,
}

impl<M, A> Mesh<M, A> {
    /// Rings of `capacity` batches (at least 1) between `shards` shards.
    pub(crate) fn new(shards: u16, capacity: usize) -> Self {
        let ring = || Ring {
            state: Mutex::new(RingState {
                batches: VecDeque::new(),
                sender_waits: false,
                spare: Vec::new(),
            }),
        };
        let pairs = usize::from(shards) * usize::from(shards);
        Mesh {
            shards,
            capacity: capacity.max(1),
            rings: (0..pairs).map(|_| ring()).collect(),
            bells: (0..shards).map(|_| Bell::default()).collect(),
        }
    }

    /// All shards.
    pub(crate) fn shards(&self) -> impl Iterator<Item = ShardId> + use<M, A> {
        (0..self.shards).map(ShardId)
    }

    /// Says how `shard` is woken. The first call counts.
    pub(crate) fn set_waker(&self, shard: ShardId, waker: &Waker) {
        let bell = self.bell(shard);
        bell.waker.get_or_init(|| waker.clone());
        // Whoever rang before found nobody to wake, so the first turn has to look by itself.
        bell.rung.store(true, Ordering::Release);
    }

    /// Wakes `shard`, unless somebody has done so since it last looked.
    pub(crate) fn ring_bell(&self, shard: ShardId) {
        let bell = self.bell(shard);
        if !bell.rung.swap(true, Ordering::AcqRel)
            && let Some(waker) = bell.waker.get()
        {
            waker.wake_by_ref();
        }
    }

    /// Whether `shard` was woken since the last call; it must look at all its rings then.
    #[inline]
    pub(crate) fn was_rung(&self, shard: ShardId) -> bool {
        let rung = &self.bell(shard).rung;
        // The plain load keeps a turn without mail free of a locked instruction.
        rung.load(Ordering::Relaxed) && rung.swap(false, Ordering::AcqRel)
    }

    /// Moves everything out of `mail` and `arrivals` into the ring as one batch and returns `true`;
    /// or leaves all as it is when the ring is full, and has the sender woken when it has room.
    /// The receiver still has to be woken by [`Self::ring_bell`].
    pub(crate) fn offer(
        &self,
        from: ShardId,
        to: ShardId,
        mail: &mut Vec<M>,
        arrivals: &mut Vec<A>,
    ) -> bool {
        let mut state = self.ring(from, to);
        if state.batches.len() >= self.capacity {
            state.sender_waits = true;
            return false;
        }
        let spare = std::mem::take(&mut state.spare);
        state.batches.push_back(Batch {
            mail: std::mem::replace(mail, spare),
            arrivals: std::mem::take(arrivals),
        });
        true
    }

    /// Appends all that waits for shard `to` to `incoming`, and wakes senders that wait for room.
    pub(crate) fn take(&self, to: ShardId, incoming: &mut Vec<(ShardId, Batch<M, A>)>) {
        for from in self.shards().filter(|from| *from != to) {
            let mut state = self.ring(from, to);
            incoming.extend(state.batches.drain(..).map(|batch| (from, batch)));
            let sender_waits = std::mem::take(&mut state.sender_waits);
            drop(state);
            if sender_waits {
                self.ring_bell(from);
            }
        }
    }

    /// Gives an emptied buffer of a batch back to its sender.
    pub(crate) fn recycle(&self, from: ShardId, to: ShardId, mail: Vec<M>) {
        debug_assert!(mail.is_empty());
        let mut state = self.ring(from, to);
        if mail.capacity() > state.spare.capacity() {
            state.spare = mail;
        }
    }

    fn ring(&self, from: ShardId, to: ShardId) -> MutexGuard<'_, RingState<M, A>> {
        let index = usize::from(from.0) * usize::from(self.shards) + usize::from(to.0);
        let ring = self.rings.get(index).expect("there is a ring for every pair of shards");
        // A shard that panicked leaves a ring as it was: no step in between can panic.
        ring.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bell(&self, shard: ShardId) -> &Bell {
        self.bells.get(usize::from(shard.0)).expect("there is a bell for every shard")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    const A: ShardId = ShardId(0);
    const B: ShardId = ShardId(1);

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counted(mesh: &Mesh<u32, u8>, shard: ShardId) -> Arc<Count> {
        let count = Arc::new(Count(AtomicUsize::new(0)));
        mesh.set_waker(shard, &Waker::from(Arc::clone(&count)));
        count
    }

    fn numbers(incoming: &[(ShardId, Batch<u32, u8>)]) -> Vec<u32> {
        incoming.iter().flat_map(|(_, batch)| batch.mail.iter().copied()).collect()
    }

    #[test]
    fn mail_arrives_in_order_and_a_full_ring_keeps_it_with_the_sender() {
        let mesh = Mesh::<u32, u8>::new(2, 1);
        let sender = counted(&mesh, A);
        assert!(mesh.was_rung(A), "the first turn has to look");
        let mut outbox = vec![1, 2];
        assert!(mesh.offer(A, B, &mut outbox, &mut vec![9]));
        assert!(outbox.is_empty());
        outbox.push(3);
        assert!(!mesh.offer(A, B, &mut outbox, &mut Vec::new()));
        assert_eq!(outbox.len(), 1);
        assert_eq!(sender.0.load(Ordering::Relaxed), 0);

        let mut incoming = Vec::new();
        mesh.take(B, &mut incoming);
        assert_eq!(sender.0.load(Ordering::Relaxed), 1);
        assert!(mesh.was_rung(A) && !mesh.was_rung(A));
        assert!(mesh.offer(A, B, &mut outbox, &mut Vec::new()));
        mesh.take(B, &mut incoming);
        assert_eq!(numbers(&incoming), [1, 2, 3]);
        assert_eq!(incoming[0].1.arrivals, [9]);
        assert_eq!(sender.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_bell_wakes_once_until_it_was_heard() {
        let mesh = Mesh::<u32, u8>::new(2, 4);
        let woken = counted(&mesh, B);
        assert!(mesh.was_rung(B));
        mesh.ring_bell(B);
        mesh.ring_bell(B);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(mesh.was_rung(B));
        mesh.ring_bell(B);
        assert_eq!(woken.0.load(Ordering::Relaxed), 2);
        assert!(!mesh.was_rung(A));
    }

    #[test]
    fn an_emptied_buffer_comes_back() {
        let mesh = Mesh::<u32, u8>::new(2, 4);
        mesh.recycle(A, B, Vec::with_capacity(100));
        let mut outbox = vec![1];
        mesh.offer(A, B, &mut outbox, &mut Vec::new());
        assert!(outbox.is_empty() && outbox.capacity() >= 100);
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        const LETTERS: u32 = 20_000;
        let mesh = Mesh::<u32, u8>::new(2, 1);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut outbox = Vec::new();
                for number in 0..LETTERS {
                    outbox.push(number);
                    mesh.offer(A, B, &mut outbox, &mut Vec::new());
                }
                while !outbox.is_empty() {
                    mesh.offer(A, B, &mut outbox, &mut Vec::new());
                    std::thread::yield_now();
                }
            });
            let mut expected = 0;
            let mut incoming = Vec::new();
            while expected < LETTERS {
                mesh.take(B, &mut incoming);
                for number in numbers(&incoming) {
                    assert_eq!(number, expected);
                    expected += 1;
                }
                for (from, mut batch) in incoming.drain(..) {
                    batch.mail.clear();
                    mesh.recycle(from, B, batch.mail);
                }
                std::thread::yield_now();
            }
        });
    }
}

use super::expect_end;
use crate::gateway::world::{Plan, World};
use crate::gateway::{PATIENCE, Subject};

/// At the end of the node every client is told, and no link is left.
pub fn a_drained_node_tells_everybody<S: Subject>(shards: u16) {
    let world = World::<S>::start(Plan::new(shards));
    let mut clients: Vec<_> = (0..6).map(|number| world.join(&format!("c{number}"))).collect();
    // Somebody who has not connected yet.
    let stranger = world.client();
    let reader = std::thread::spawn(move || {
        for client in &mut clients {
            expect_end::<S>(client);
        }
        drop(stranger);
    });
    let report = world.node.drain(PATIENCE);
    reader.join().unwrap();
    assert_eq!((report.links_left, report.failure), (0, None));
}

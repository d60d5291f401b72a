use plugin_access::BanTarget;

use super::{expect, expect_end};
use crate::gateway::world::{Plan, World};
use crate::gateway::{Client, Login, Subject, skipped};

/// Clients that share a link: what happens to one of them does not happen to its neighbours.
pub fn slots_of_one_link_leave_each_other_alone<S: Subject>(shards: u16) {
    if !S::ABILITIES.has_slots {
        return skipped("neighbours on one link", "a link has one client");
    }
    let world = World::<S>::start(Plan::new(shards));
    let mut bob = world.join("bob");
    let mut clients = S::clients_of_one_link(world.address(), 6);
    for (number, client) in clients.iter_mut().enumerate() {
        client.connect(&Login::of(&format!("c{number}"))).unwrap();
        client.subscribe(&format!("t/{number}")).unwrap();
    }
    let mut reach = |clients: &mut [S::Client], numbers: &[usize]| {
        for number in numbers {
            let topic = format!("t/{number}");
            bob.publish(&topic, b"are you there", false).unwrap();
            expect(&mut clients[*number], &topic, b"are you there");
        }
    };
    reach(&mut clients, &[0, 1, 2, 3, 4, 5]);
    world.kick("c0");
    expect_end::<S>(&mut clients[0]);
    reach(&mut clients, &[1, 2, 3, 4, 5]);
    world.ban(BanTarget::ClientId("c1".into()));
    expect_end::<S>(&mut clients[1]);
    assert!(clients[1].connect(&Login::of("c1")).is_err());
    reach(&mut clients, &[2, 3, 4, 5]);
    // Another link takes one of them over.
    let _thief = world.join("c2");
    expect_end::<S>(&mut clients[2]);
    reach(&mut clients, &[3, 4, 5]);
    // One that takes the identity of another one.
    assert!(clients[2].connect(&Login::of("mallory")).is_err());
    reach(&mut clients, &[3, 4, 5]);
    clients.remove(3).disconnect();
    let (c4, c5) = (4 - 1, 5 - 1);
    for (place, number) in [(c4, 4), (c5, 5)] {
        let topic = format!("t/{number}");
        bob.publish(&topic, b"still there", false).unwrap();
        expect(&mut clients[place], &topic, b"still there");
    }
    assert!(world.is_well());
}

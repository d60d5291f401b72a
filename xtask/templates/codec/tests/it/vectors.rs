//! Our own vectors, one file of `vectors/` per subject.

use codec___name__::PacketType;
use test_kit::codec::{all_vectors, vectors};

use crate::suite::__Name__;

//= __name__:1-1
//= __name__:1-2
//= __name__:1-3
//= __name__:1-4
//= __name__:2-2
#[test]
fn packets() {
    vectors::<__Name__>("packets");
}

#[test]
fn every_packet_type_has_a_vector() {
    let all = all_vectors::<__Name__>();
    let seen: Vec<u8> = all.iter().filter_map(|vector| vector.bytes.get(2).copied()).collect();
    let missing =
        |number: &u8| PacketType::from_number(*number).is_some() && !seen.contains(number);
    assert_eq!((0..=u8::MAX).find(missing), None);
}

//! MQTT-SN over a network that loses a fifth of all datagrams, repeats as many and reorders the
//! rest.

use std::sync::Arc;

use gateway_host::{ListenerFacts, Rebind};
use gateway_mqttsn::{MqttSnConfig, MqttSnGateway};
use tests_sim::radio::host::Host;
use tests_sim::radio::network::Weather;
use tests_sim::radio::town::{Report, Town};

const BAD: Weather = Weather { lost: 20, repeated: 20, delay_ms_max: 2_000 };

fn run(seed: u64, shards: u16, weather: Weather, messages: usize) -> Report {
    let config = MqttSnConfig { t_retry_s: 3, n_retry: 12, ..MqttSnConfig::default() };
    let gateway = Arc::new(MqttSnGateway::new(config).expect("a good configuration"));
    let facts = ListenerFacts {
        name: "radio".into(),
        allow_anonymous: true,
        rebind: Rebind::SameIp,
        ..ListenerFacts::default()
    };
    let host = Host::new(gateway, facts, shards, seed);
    let report = Town::new(seed, host, weather, 20, messages).run();
    assert!(report.faults.is_empty(), "seed {seed}: {:#?}", report.faults);
    report
}

#[test]
fn a_good_network_needs_no_repetition() {
    let fine = Weather { lost: 0, repeated: 0, delay_ms_max: 50 };
    let report = run(1, 2, fine, 20);
    assert_eq!((report.copies, report.reconnects), (0, 0));
    assert_eq!(report.published.iter().sum::<u64>(), 400);
}

//= mqttsn:GW-SN-16
//= mqttsn:GW-SN-28
//= mqttsn:GW-SN-29
#[test]
fn ten_thousand_exchanges_over_a_bad_network_lose_and_double_nothing() {
    let mut exchanges = 0;
    for (seed, shards) in [(11, 1), (12, 4), (13, 2)] {
        let report = run(seed, shards, BAD, 60);
        let [sent, lost, repeated] = report.datagrams;
        assert!(lost * 6 > sent && repeated * 8 > sent, "{report:?}");
        exchanges += report.exchanges;
    }
    assert!(exchanges > 10_000, "{exchanges}");
}

//! MQTT-SN clients that connect from addresses of their own, go to sleep and close their sockets:
//! the server's memory for each of them, as the slope over the second half.

use crate::opts::Opts;
use crate::sn::{self, CONNACK, DISCONNECT};
use crate::sys::*;
use crate::usage::{Snap, rss_kib};

/// Clients for each source address.
const PORTS: usize = 10_000;
/// The lowest port of a client.
const PORT_FIRST: u16 = 40_000;

pub fn run(o: &Opts) {
    let (port, pids) = (o.num("port", 1884) as u16, o.pids());
    let clients = o.count("clients", 200_000);
    let (sleeps, subscribes) = (!o.flag("awake"), o.flag("sub"));
    let parallel = o.count("parallel", 64).max(1);
    let rss0_kib = rss_kib(&pids);
    let start = Snap::take(&pids);
    let mut half = (0, 0);
    let (mut done, mut lost) = (0, 0);
    for first in (0..clients).step_by(parallel) {
        let batch: Vec<i32> = (first..clients.min(first + parallel))
            // No address and port twice, which the system's choice would not keep.
            .map(|i| udp_socket_from(source(i), PORT_FIRST + (i % PORTS) as u16, port))
            .collect();
        let mut alive =
            exchange(&batch, CONNACK, |k| sn::connect(&format!("sleeper-{}", first + k), false));
        if subscribes {
            let topic = |k: usize| sn::subscribe(1, 1, &format!("sleep/{}", first + k));
            alive = alive.min(exchange(&batch, sn::SUBACK, topic));
        }
        if sleeps {
            let sleep = |_| sn::packet(DISCONNECT, &[&60_000u16.to_be_bytes()]);
            alive = alive.min(exchange(&batch, DISCONNECT, sleep));
        }
        batch.iter().for_each(|fd| close_fd(*fd));
        done += alive;
        lost += batch.len() - alive;
        if half.0 == 0 && done >= clients / 2 {
            half = (done, rss_kib(&pids));
        }
    }
    let stop = Snap::take(&pids);
    let rss_kib = rss_kib(&pids);
    let slope = rss_kib.saturating_sub(half.1) as f64 * 1024.0 / (done - half.0).max(1) as f64;
    println!(
        concat!(
            "{{\"scenario\":\"{}\",\"mode\":\"snsleep\",\"clients\":{},\"addresses\":{},",
            "\"asleep\":{},\"failed\":{},\"seconds\":{:.2},\"srv_cpu_s\":{:.2},",
            "\"srv_cpu_us_per_client\":{:.2},\"rss0_kib\":{},\"rss_half_kib\":{},\"rss_kib\":{},",
            "\"bytes_per_client\":{:.0}}}"
        ),
        o.text("name", "snsleep"),
        done,
        clients.div_ceil(PORTS),
        sleeps,
        lost,
        stop.secs_since(&start),
        stop.srv - start.srv,
        (stop.srv - start.srv) * 1e6 / done.max(1) as f64,
        rss0_kib,
        half.1,
        rss_kib,
        slope,
    );
}

/// Sends something from every socket and waits for an answer at each; returns how many came.
fn exchange(sockets: &[i32], wanted: u8, request: impl Fn(usize) -> Vec<u8>) -> usize {
    for (k, fd) in sockets.iter().enumerate() {
        write_fd(*fd, &request(k));
    }
    let mut answer = [0u8; 64];
    let mut came = 0;
    for (k, fd) in sockets.iter().enumerate() {
        for attempt in 0..3 {
            if readable(*fd, 1000) && read_fd(*fd, &mut answer) >= 2 && answer[1] == wanted {
                came += 1;
                break;
            }
            if attempt < 2 {
                write_fd(*fd, &request(k));
            }
        }
    }
    came
}

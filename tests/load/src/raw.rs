//! Physical limits: raw TCP and UDP on loopback, and the datagram echo that is a CoAP server's
//! ceiling.

use crate::batch::Batch;
use crate::opts::Opts;
use crate::sys::*;
use crate::usage::own_cpu;
use libc::{MSG_WAITFORONE, SOL_UDP};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

const UDP_SEGMENT: i32 = 103;
const UDP_GRO: i32 = 104;

/// One-way UDP rate, sender thread to receiver thread. `--batch 1` means send and recv; `--gso N`
/// puts N segments in one send.
pub fn udp(o: &Opts) {
    let port = o.num("port", 5999) as u16;
    let size = o.count("size", 64);
    let batch = o.count("batch", 64).max(1);
    let gso = o.count("gso", 0);
    let secs = o.real("secs", 3.0);
    let stop = Arc::new(AtomicBool::new(false));
    let rx = udp_socket(port, 0);
    set_read_timeout(rx, 100);
    if gso > 0 {
        setopt(rx, SOL_UDP, UDP_GRO, 1);
    }
    let receiver = {
        let (stop, core) = (stop.clone(), o.num("rcore", 0) as i64);
        std::thread::spawn(move || {
            pin(core);
            let received = receive_until(&stop, rx, batch, gso, size);
            (received, thread_cpu())
        })
    };
    pin(o.num("score", 1) as i64);
    let tx = udp_socket(0, port);
    let mut b = Batch::new(batch, size * gso.max(1), false);
    if gso > 0 {
        setopt(tx, SOL_UDP, UDP_SEGMENT, size as i32);
    }
    let start = now();
    let end = start + (secs * 1e9) as u64;
    let mut sent = 0u64;
    while now() < end {
        for _ in 0..16 {
            let datagrams = match batch {
                1 => (write_fd(tx, &b.bufs[0]) > 0) as u64,
                _ => b.send(tx, 0, batch) as u64,
            };
            sent += datagrams * gso.max(1) as u64;
        }
    }
    let secs = (now() - start) as f64 / 1e9;
    // Lets the receiver drain its socket; nothing tells when it has.
    std::thread::sleep(Duration::from_millis(200));
    stop.store(true, Relaxed);
    let (received, rx_cpu) = receiver.join().expect("the receiver does not panic");
    println!(
        concat!(
            "{{\"scenario\":\"{}\",\"mode\":\"rawudp\",\"size\":{},\"batch\":{},\"gso\":{},",
            "\"seconds\":{:.2},\"sent_per_s\":{:.0},\"msgs_per_s\":{:.0},\"lost\":{},",
            "\"rx_cpu_s_per_M\":{:.3}}}"
        ),
        o.text("name", "rawudp"),
        size,
        batch,
        gso,
        secs,
        sent as f64 / secs,
        received as f64 / secs,
        sent.saturating_sub(received),
        rx_cpu * 1e6 / received.max(1) as f64
    );
}

fn receive_until(stop: &AtomicBool, rx: i32, batch: usize, gso: usize, size: usize) -> u64 {
    let mut b = Batch::new(batch, if gso > 0 { 65_536 } else { 2048 }, true);
    let mut received = 0;
    while !stop.load(Relaxed) {
        if gso == 0 && batch == 1 {
            received += (read_fd(rx, &mut b.bufs[0]) > 0) as u64;
            continue;
        }
        b.reset_names();
        let n = b.receive(rx, MSG_WAITFORONE);
        received += match gso {
            0 => n as u64,
            _ => (0..n).map(|i| (b.received(i) as u64).div_ceil(size as u64)).sum(),
        };
    }
    received
}

/// A UDP server that sends every datagram back; a CoAP request becomes its 2.05 answer.
pub fn echo(o: &Opts) {
    let fd = udp_socket(o.num("port", 5998) as u16, 0);
    let n = o.count("batch", 64);
    let until = now() + (o.real("life", 60.0) * 1e9) as u64;
    set_read_timeout(fd, 200);
    let mut b = Batch::new(n, 2048, true);
    while now() < until {
        b.reset_names();
        for i in 0..n {
            b.set_len(i, 2048);
        }
        let k = b.receive(fd, MSG_WAITFORONE);
        for i in 0..k {
            let len = b.received(i);
            let d = &mut b.bufs[i];
            if len >= 4 && d[0] >> 6 == 1 {
                if d[0] >> 4 & 3 == 0 {
                    d[0] |= 0x20
                }
                d[1] = 0x45;
            }
            b.set_len(i, len);
        }
        let mut at = 0;
        while at < k {
            let sent = b.send(fd, at, k);
            if sent == 0 {
                break;
            }
            at += sent
        }
    }
}

/// Raw TCP between two threads: one way with several messages in a write, and ping-pong.
pub fn tcp(o: &Opts) {
    let port = o.num("port", 5997) as u16;
    let size = o.count("size", 64);
    let secs = o.real("secs", 3.0);
    let listener = listen_tcp(port);
    let (rcore, score) = (o.num("rcore", 0) as i64, o.num("score", 1) as i64);
    for (mode, per_write) in [("oneway", 1usize), ("oneway", 16), ("oneway", 64), ("pingpong", 1)] {
        let fd = tcp_socket(None, false);
        if connect_to(fd, port) != 0 {
            die("connect")
        }
        readable(listener, 1000);
        let peer = accept_tcp(listener, false).unwrap_or_else(|| die("accept"));
        let echo = mode == "pingpong";
        let reader = std::thread::spawn(move || {
            pin(rcore);
            let (bytes, reads) = read_all(peer, echo);
            close_fd(peer);
            (bytes, reads, thread_cpu())
        });
        pin(score);
        let message = vec![b'x'; size * per_write];
        let mut answer = vec![0u8; 65_536];
        let cpu_before = own_cpu();
        let start = now();
        let end = start + (secs * 1e9) as u64;
        let mut n = 0u64;
        while now() < end {
            for _ in 0..16 {
                write_fd(fd, &message);
                n += per_write as u64;
                if echo {
                    read_fd(fd, &mut answer);
                }
            }
        }
        let secs = (now() - start) as f64 / 1e9;
        close_fd(fd);
        let (bytes, reads, rx_cpu) = reader.join().expect("the reader does not panic");
        let tx_cpu = own_cpu() - cpu_before - rx_cpu;
        println!(
            concat!(
                "{{\"scenario\":\"rawtcp\",\"mode\":\"{}\",\"size\":{},\"per_write\":{},",
                "\"seconds\":{:.2},\"msgs_per_s\":{:.0},\"msgs_per_read\":{:.1},",
                "\"tx_cpu_s_per_M\":{:.3},\"rx_cpu_s_per_M\":{:.3}}}"
            ),
            mode,
            size,
            per_write,
            secs,
            n as f64 / secs,
            bytes as f64 / size as f64 / reads.max(1) as f64,
            tx_cpu * 1e6 / n as f64,
            rx_cpu * 1e6 / n as f64
        );
    }
}

/// Reads to the end, sending everything back if asked; returns bytes and reads.
fn read_all(fd: i32, echo: bool) -> (u64, u64) {
    let mut buf = vec![0u8; 1 << 18];
    let (mut bytes, mut reads) = (0, 0);
    loop {
        let k = read_fd(fd, &mut buf);
        if k <= 0 {
            return (bytes, reads);
        }
        bytes += k as u64;
        reads += 1;
        if echo {
            write_fd(fd, &buf[..k as usize]);
        }
    }
}

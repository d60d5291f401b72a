//! Thin wrappers over the clock, epoll and sockets. A failure that would spoil the measurement
//! ends the process.

use libc::*;
use std::mem::{size_of, zeroed};

/// 127.0.0.1
const LOOPBACK: u32 = 0x7f00_0001;
const IP_BIND_ADDRESS_NO_PORT: i32 = 24;

/// Monotonic time, nanoseconds.
pub fn now() -> u64 {
    // SAFETY: clock_gettime fills the struct that it is given.
    unsafe {
        let mut t: timespec = zeroed();
        clock_gettime(CLOCK_MONOTONIC, &mut t);
        t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
    }
}

/// CPU seconds of the calling thread.
pub fn thread_cpu() -> f64 {
    // SAFETY: clock_gettime fills the struct that it is given.
    unsafe {
        let mut t: timespec = zeroed();
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &mut t);
        t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
    }
}

/// Makes time-outs exact to the microsecond: the fixed-rate mode sleeps between sends.
pub fn sharpen_timers() {
    // SAFETY: sets a number of this process.
    unsafe { prctl(PR_SET_TIMERSLACK, 1) };
}

/// Binds the calling thread to a core; a negative number leaves it free.
pub fn pin(core: i64) {
    if core < 0 {
        return;
    }
    // SAFETY: the set is a plain bit field on the stack.
    unsafe {
        let mut s: cpu_set_t = zeroed();
        CPU_SET(core as usize, &mut s);
        sched_setaffinity(0, size_of::<cpu_set_t>(), &s);
    }
}

pub fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

pub fn die(msg: &str) -> ! {
    eprintln!("mqttload: {msg} ({})", std::io::Error::last_os_error());
    std::process::exit(2)
}

/// An epoll instance; each socket carries a number of the caller's.
pub struct Epoll(i32);

pub fn events(n: usize) -> Vec<epoll_event> {
    vec![epoll_event { events: 0, u64: 0 }; n]
}

impl Epoll {
    pub fn new() -> Epoll {
        // SAFETY: makes a descriptor.
        let fd = unsafe { epoll_create1(EPOLL_CLOEXEC) };
        if fd < 0 {
            die("epoll_create1")
        }
        Epoll(fd)
    }

    fn ctl(&self, op: i32, fd: i32, ev: i32, data: u64) {
        let mut e = epoll_event { events: ev as u32, u64: data };
        // SAFETY: the event is read during the call only.
        if unsafe { epoll_ctl(self.0, op, fd, &mut e) } < 0 && op != EPOLL_CTL_DEL {
            die("epoll_ctl")
        }
    }

    pub fn add(&self, fd: i32, ev: i32, data: u64) {
        self.ctl(EPOLL_CTL_ADD, fd, ev, data)
    }

    pub fn modify(&self, fd: i32, ev: i32, data: u64) {
        self.ctl(EPOLL_CTL_MOD, fd, ev, data)
    }

    pub fn remove(&self, fd: i32) {
        self.ctl(EPOLL_CTL_DEL, fd, 0, 0)
    }

    /// Waits at most `ns`; returns the number of events written to `evs`.
    pub fn wait(&self, evs: &mut [epoll_event], ns: u64) -> usize {
        let ts =
            timespec { tv_sec: (ns / 1_000_000_000) as i64, tv_nsec: (ns % 1_000_000_000) as i64 };
        // The raw call: the wrapper needs a newer libc than some systems have.
        // SAFETY: the kernel writes at most `evs.len()` events.
        let n = unsafe {
            syscall(
                SYS_epoll_pwait2,
                self.0,
                evs.as_mut_ptr(),
                evs.len() as c_int,
                &ts as *const timespec,
                std::ptr::null::<sigset_t>(),
                8usize,
            )
        };
        if n < 0 {
            if errno() == EINTR {
                return 0;
            }
            die("epoll_pwait2")
        }
        n as usize
    }
}

/// An IPv4 socket address; `ip` in host order.
pub fn addr4(ip: u32, port: u16) -> sockaddr_in {
    // SAFETY: all zero is a valid address.
    let mut a: sockaddr_in = unsafe { zeroed() };
    a.sin_family = AF_INET as u16;
    a.sin_port = port.to_be();
    a.sin_addr.s_addr = ip.to_be();
    a
}

fn set<T>(fd: i32, level: i32, name: i32, v: &T) {
    // SAFETY: the kernel reads `size_of::<T>()` bytes of a live value.
    unsafe { setsockopt(fd, level, name, v as *const T as *const c_void, size_of::<T>() as u32) };
}

pub fn setopt(fd: i32, level: i32, name: i32, v: i32) {
    set(fd, level, name, &v)
}

/// Limits a blocking read; it then fails with EAGAIN.
pub fn set_read_timeout(fd: i32, ms: i64) {
    let tv = timeval { tv_sec: ms / 1000, tv_usec: ms % 1000 * 1000 };
    set(fd, SOL_SOCKET, SO_RCVTIMEO, &tv)
}

fn bind4(fd: i32, ip: u32, port: u16) -> bool {
    let a = addr4(ip, port);
    // SAFETY: the kernel reads one socket address.
    unsafe { bind(fd, &a as *const _ as *const sockaddr, size_of::<sockaddr_in>() as u32) == 0 }
}

/// The i-th loopback source address: 127.0.1.1 upwards, 10 000 connections each.
pub fn source(i: usize) -> u32 {
    0x7f00_0101 + (i / 10_000) as u32
}

/// A TCP socket without Nagle's delay, optionally from a source address.
pub fn tcp_socket(source: Option<u32>, nonblocking: bool) -> i32 {
    let flags = SOCK_STREAM | SOCK_CLOEXEC | if nonblocking { SOCK_NONBLOCK } else { 0 };
    // SAFETY: makes a descriptor.
    let fd = unsafe { socket(AF_INET, flags, 0) };
    if fd < 0 {
        die("socket")
    }
    setopt(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if let Some(ip) = source {
        setopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
        if !bind4(fd, ip, 0) {
            die("bind source address")
        }
    }
    fd
}

/// A blocking UDP socket with large buffers; `peer` 0 leaves it unconnected.
pub fn udp_socket(port: u16, peer: u16) -> i32 {
    udp_socket_from(LOOPBACK, port, peer)
}

/// The same with an address of its own.
pub fn udp_socket_from(source: u32, port: u16, peer: u16) -> i32 {
    // SAFETY: makes a descriptor.
    let fd = unsafe { socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) };
    setopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20);
    setopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, 8 << 20);
    if !bind4(fd, source, port) {
        die("bind udp")
    }
    if peer != 0 && connect_to(fd, peer) != 0 {
        die("connect udp")
    }
    fd
}

/// Connects to a port on 127.0.0.1; returns 0 or the error number.
pub fn connect_to(fd: i32, port: u16) -> i32 {
    let a = addr4(LOOPBACK, port);
    // SAFETY: the kernel reads one socket address.
    let r =
        unsafe { connect(fd, &a as *const _ as *const sockaddr, size_of::<sockaddr_in>() as u32) };
    if r < 0 { errno() } else { 0 }
}

pub fn set_nonblocking(fd: i32) {
    // SAFETY: changes flags of a descriptor.
    unsafe {
        let flags = fcntl(fd, F_GETFL);
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    }
}

pub fn close_fd(fd: i32) {
    // SAFETY: the caller owns the descriptor and forgets it.
    unsafe { close(fd) };
}

/// Closes with a reset, so that no port is left waiting.
pub fn close_reset(fd: i32) {
    set(fd, SOL_SOCKET, SO_LINGER, &linger { l_onoff: 1, l_linger: 0 });
    close_fd(fd)
}

/// A non-blocking listener on 127.0.0.1.
pub fn listen_tcp(port: u16) -> i32 {
    // SAFETY: makes a descriptor and listens on it.
    unsafe {
        let fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        setopt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        if !bind4(fd, LOOPBACK, port) || listen(fd, 4096) < 0 {
            die("listen")
        }
        fd
    }
}

/// Takes a waiting connection, without Nagle's delay.
pub fn accept_tcp(listener: i32, nonblocking: bool) -> Option<i32> {
    let flags = SOCK_CLOEXEC | if nonblocking { SOCK_NONBLOCK } else { 0 };
    // SAFETY: no address is asked for.
    let fd = unsafe { accept4(listener, std::ptr::null_mut(), std::ptr::null_mut(), flags) };
    if fd < 0 {
        return None;
    }
    setopt(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    Some(fd)
}

fn poll_one(fd: i32, events: i16, ms: i32) -> bool {
    let mut p = pollfd { fd, events, revents: 0 };
    // SAFETY: one live pollfd.
    unsafe { poll(&mut p, 1, ms) > 0 }
}

/// Waits until the socket can be read, at most `ms`.
pub fn readable(fd: i32, ms: i32) -> bool {
    poll_one(fd, POLLIN, ms)
}

/// Whether the peer has closed, without reading anything.
pub fn is_closed(fd: i32) -> bool {
    poll_one(fd, POLLRDHUP, 0)
}

pub fn write_fd(fd: i32, b: &[u8]) -> isize {
    // SAFETY: the kernel reads `b.len()` bytes.
    unsafe { send(fd, b.as_ptr() as *const c_void, b.len(), MSG_NOSIGNAL) }
}

pub fn read_fd(fd: i32, b: &mut [u8]) -> isize {
    // SAFETY: the kernel writes at most `b.len()` bytes.
    unsafe { recv(fd, b.as_mut_ptr() as *mut c_void, b.len(), 0) }
}

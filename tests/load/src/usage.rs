//! What the server, the generator and the machine used: CPU time and memory from /proc.

use crate::sys::now;
use libc::{_SC_CLK_TCK, RUSAGE_SELF, getrusage, rusage, sysconf, timeval};

fn ticks_per_second() -> f64 {
    // SAFETY: sysconf reads a constant of the system.
    unsafe { sysconf(_SC_CLK_TCK) as f64 }
}

/// User and system time of the processes, in seconds.
fn cpu(pids: &[i32]) -> f64 {
    let hz = ticks_per_second();
    let mut sum = 0.0;
    for p in pids {
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{p}/stat")) else { continue };
        // The name in parentheses may hold spaces, so fields are counted from its end.
        let Some(i) = stat.rfind(')') else { continue };
        let fields: Vec<&str> = stat[i + 2..].split(' ').collect();
        let field = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
        sum += (field(11) + field(12)) / hz;
    }
    sum
}

/// Resident memory of the processes, in KiB.
pub fn rss_kib(pids: &[i32]) -> u64 {
    let one = |p: &i32| -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{p}/status")).ok()?;
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
        line.trim().trim_end_matches(" kB").trim().parse().ok()
    };
    pids.iter().filter_map(one).sum()
}

/// Busy seconds (user, nice, system, irq, softirq, steal) of the whole machine.
fn busy() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = stat.lines().next().unwrap_or("");
    let v: Vec<f64> = first.split_whitespace().skip(1).map(|x| x.parse().unwrap_or(0.0)).collect();
    if v.len() < 8 {
        return 0.0;
    }
    (v[0] + v[1] + v[2] + v[5] + v[6] + v[7]) / ticks_per_second()
}

/// CPU seconds of this process.
pub fn own_cpu() -> f64 {
    // SAFETY: getrusage fills the struct that it is given.
    let r = unsafe {
        let mut r: rusage = std::mem::zeroed();
        getrusage(RUSAGE_SELF, &mut r);
        r
    };
    let secs = |t: timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    secs(r.ru_utime) + secs(r.ru_stime)
}

/// A moment's counters, to take differences of.
#[derive(Clone, Copy, Default)]
pub struct Snap {
    /// Monotonic time, nanoseconds.
    pub t: u64,
    /// CPU seconds of the server.
    pub srv: f64,
    /// CPU seconds of this process.
    pub own: f64,
    /// Busy seconds of the machine.
    pub busy: f64,
}

impl Snap {
    pub fn take(pids: &[i32]) -> Snap {
        Snap { t: now(), srv: cpu(pids), own: own_cpu(), busy: busy() }
    }

    pub fn secs_since(&self, a: &Snap) -> f64 {
        (self.t - a.t) as f64 / 1e9
    }

    /// CPU seconds that neither the server nor this process used: the noise.
    pub fn other_since(&self, a: &Snap) -> f64 {
        self.busy - a.busy - (self.srv - a.srv) - (self.own - a.own)
    }
}

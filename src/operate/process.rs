//! What the system says about this process.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// Facts about the process now; what the system does not tell is `None`.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProcessFacts {
    /// Memory that it really has, in bytes.
    pub(crate) resident_bytes: Option<u64>,
    /// Memory that it has addresses for, in bytes.
    pub(crate) virtual_bytes: Option<u64>,
    /// Threads.
    pub(crate) threads: Option<u64>,
    /// Open files.
    pub(crate) open_files: Option<u64>,
    /// Files that it may open.
    pub(crate) open_files_max: Option<u64>,
    /// Time of all CPUs that it has used.
    pub(crate) cpu: Duration,
}

impl ProcessFacts {
    /// Looks them up.
    pub(crate) fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let number = |key: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let kibibytes = |key| number(key).map(|count| count * 1024);
        let time = clock_gettime(ClockId::ProcessCPUTime);
        ProcessFacts {
            resident_bytes: kibibytes("VmRSS:"),
            virtual_bytes: kibibytes("VmSize:"),
            threads: number("Threads:"),
            // One of them is the folder that is being read.
            open_files: fs::read_dir("/proc/self/fd").ok().map(|list| list.count() as u64 - 1),
            open_files_max: rlimit::Resource::NOFILE.get_soft().ok(),
            cpu: Duration::new(
                u64::try_from(time.tv_sec).unwrap_or(0),
                u32::try_from(time.tv_nsec).unwrap_or(0),
            ),
        }
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_process_is_seen() {
        let facts = ProcessFacts::now();
        assert!(facts.resident_bytes.unwrap() > 100_000);
        assert!(facts.virtual_bytes >= facts.resident_bytes);
        assert!(facts.threads.unwrap() >= 1);
        assert!(facts.open_files.unwrap() >= 3);
        assert!(facts.open_files_max >= facts.open_files);
        assert!(facts.cpu > Duration::ZERO);
    }
}

//! Command line options: `--name value`, or `--name` alone for a flag.

use crate::sys::die;
use std::collections::HashMap;

/// The options of one run, by name without the dashes.
pub struct Opts(HashMap<String, String>);

impl Opts {
    pub fn parse(args: &[String]) -> Opts {
        let mut m = HashMap::new();
        let mut i = 0;
        while i < args.len() {
            let name = args[i]
                .strip_prefix("--")
                .unwrap_or_else(|| die(&format!("unexpected argument {}", args[i])));
            match args.get(i + 1) {
                Some(value) if !value.starts_with("--") => {
                    m.insert(name.to_string(), value.clone());
                    i += 2;
                }
                _ => {
                    m.insert(name.to_string(), "1".into());
                    i += 1;
                }
            }
        }
        Opts(m)
    }

    /// A whole number; underscores are ignored.
    pub fn num(&self, name: &str, default: u64) -> u64 {
        self.0.get(name).map_or(default, |v| {
            v.replace('_', "").parse().unwrap_or_else(|_| die(&format!("bad --{name}")))
        })
    }

    pub fn count(&self, name: &str, default: usize) -> usize {
        self.num(name, default as u64) as usize
    }

    pub fn real(&self, name: &str, default: f64) -> f64 {
        self.0
            .get(name)
            .map_or(default, |v| v.parse().unwrap_or_else(|_| die(&format!("bad --{name}"))))
    }

    pub fn flag(&self, name: &str) -> bool {
        self.num(name, 0) != 0
    }

    pub fn text(&self, name: &str, default: &str) -> String {
        self.0.get(name).cloned().unwrap_or_else(|| default.to_string())
    }

    /// The server's process ids, from `--pid`.
    pub fn pids(&self) -> Vec<i32> {
        self.text("pid", "")
            .split(',')
            .filter(|x| !x.is_empty())
            .map(|x| x.parse().unwrap_or_else(|_| die("bad --pid")))
            .collect()
    }
}

//! `cargo xtask test setup`: the foreign software that the end-to-end tests run.
//!
//! Each of the three lists in `tests/e2e` is installed only when it changed or something of it is
//! missing, so a second run takes no time.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::quiet;

/// The Python environment of the end-to-end tests.
pub(crate) fn venv(root: &Path) -> PathBuf {
    root.join("target/venv")
}

/// The folder with the `node_modules` of the end-to-end tests.
pub(crate) fn npm(root: &Path) -> PathBuf {
    root.join("target/npm")
}

/// Installs what is missing.
pub(crate) fn run(root: &Path) -> Result<()> {
    let lists = root.join("tests/e2e");
    debian_packages(&lists.join("packages.txt"))?;
    python_packages(&lists.join("requirements.txt"), &venv(root))?;
    node_packages(&lists, &npm(root))
}

fn debian_packages(list: &Path) -> Result<()> {
    let text = read(list)?;
    let wanted = names(&text);
    if !found("dpkg-query") {
        println!("setup: no Debian here; these programs are expected: {}", wanted.join(" "));
        return Ok(());
    }
    let mut missing = Vec::new();
    for name in wanted {
        let answer = Command::new("dpkg-query")
            .args(["--show", "--showformat=${db:Status-Status}", name])
            .stderr(Stdio::null())
            .output()
            .context("cannot start `dpkg-query`")?;
        if answer.stdout != b"installed" {
            missing.push(name);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    println!("setup: installing {}", missing.join(" "));
    quiet(apt_get(&missing)?.args(["update", "--quiet"]))?;
    quiet(
        apt_get(&missing)?
            .args(["install", "--quiet", "--yes", "--no-install-recommends"])
            .args(&missing),
    )
}

/// `apt-get` with the rights that it needs.
fn apt_get(missing: &[&str]) -> Result<Command> {
    let user = Command::new("id").arg("-u").output().context("cannot start `id`")?;
    let mut apt_get = if user.stdout.trim_ascii() == b"0" {
        Command::new("apt-get")
    } else if found("sudo") {
        let mut sudo = Command::new("sudo");
        sudo.args(["--non-interactive", "--preserve-env=DEBIAN_FRONTEND", "apt-get"]);
        sudo
    } else {
        bail!("needs root or sudo: run `apt-get install {}` yourself", missing.join(" "));
    };
    apt_get.args(["-o", "DPkg::Lock::Timeout=120"]).env("DEBIAN_FRONTEND", "noninteractive");
    Ok(apt_get)
}

fn python_packages(list: &Path, venv: &Path) -> Result<()> {
    let wanted = read(list)?;
    let python = venv.join("bin/python");
    // An environment whose interpreter went away is as good as none.
    let usable = runs(Command::new(&python).arg("--version"));
    let stamp = Stamp::of(venv, &wanted);
    if usable && stamp.is_current() {
        return Ok(());
    }
    println!("setup: installing Python packages: {}", names(&wanted).join(" "));
    if !found("python3") {
        bail!("python3 is missing: install Python 3.10 or later");
    }
    quiet(Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv))?;
    quiet(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .arg("--requirement")
            .arg(list),
    )?;
    stamp.write()
}

fn node_packages(lists: &Path, npm: &Path) -> Result<()> {
    let package = lists.join("package.json");
    let lock = lists.join("package-lock.json");
    let wanted = format!("{}{}", read(&package)?, read(&lock)?);
    let stamp = Stamp::of(npm, &wanted);
    if stamp.is_current() && npm.join("node_modules").is_dir() {
        return Ok(());
    }
    println!("setup: installing the packages of tests/e2e/package.json");
    if !found("npm") {
        bail!("npm is missing: install Node.js 20 or later");
    }
    std::fs::create_dir_all(npm).with_context(|| format!("cannot create {}", npm.display()))?;
    for file in [&package, &lock] {
        let copy = npm.join(file.file_name().unwrap_or_default());
        std::fs::copy(file, &copy).with_context(|| format!("cannot write {}", copy.display()))?;
    }
    quiet(
        Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"])
            .current_dir(npm),
    )?;
    stamp.write()
}

/// A file in an installed folder that holds the list it was made from.
struct Stamp<'a> {
    file: PathBuf,
    list: &'a str,
}

impl<'a> Stamp<'a> {
    fn of(folder: &Path, list: &'a str) -> Self {
        Self { file: folder.join("installed-from"), list }
    }

    fn is_current(&self) -> bool {
        std::fs::read_to_string(&self.file).is_ok_and(|text| text == self.list)
    }

    fn write(&self) -> Result<()> {
        std::fs::write(&self.file, self.list)
            .with_context(|| format!("cannot write {}", self.file.display()))
    }
}

/// The lines of a list without comments and empty ones.
fn names(list: &str) -> Vec<&str> {
    list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Whether a program is on the path and answers.
fn found(program: &str) -> bool {
    runs(Command::new(program).arg("--version"))
}

fn runs(command: &mut Command) -> bool {
    let silent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    silent.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_without_comments() {
        assert_eq!(
            names("# packages\n\n mosquitto \n# later\npython3-venv\n"),
            ["mosquitto", "python3-venv"]
        );
    }
}

//! The step `new-protocol` of `cargo xtask test`: what the chore writes works as it is.
//!
//! It is done in a copy of the workspace below the target folder, which stays there, so that only
//! what has changed is built again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::{create, lists, read, write};
use crate::metadata::Metadata;
use crate::{arrows, cargo, command, trace};

const NAME: &str = "kettle";

/// The folders of the protocol.
const FOLDERS: [&str; 3] = ["codecs/kettle/", "gateways/kettle/", "conformance/kettle/"];

/// How many lines of other files a new protocol may add.
const LINES_MAX: usize = 3;

/// How long the server may take to say something.
const PATIENCE: Duration = Duration::from_secs(30);

/// Creates a protocol in a copy of the workspace and tries it out.
pub(crate) fn run(root: &Path) -> Result<()> {
    let target = Metadata::load(root)?.target_directory;
    let trial = Trial { root: target.join("new-protocol/workspace"), target };
    copy(root, &trial.root)?;
    create(&trial.root, NAME)?;
    check_changes(root, &trial.root)?;
    arrows::check(&trial.root)?;
    trace::check_one(&trial.root, NAME)?;
    let packages = ["-p", "codec-kettle", "-p", "gateway-kettle"];
    command(trial.cargo().arg("fmt").args(packages).arg("--check"))?;
    let clippy = ["--all-targets", "--", "-D", "warnings"];
    command(trial.cargo().arg("clippy").args(packages).args(clippy))?;
    command(trial.cargo().args(["test", "--quiet"]).args(packages))?;
    command(trial.cargo().args(["build", "--bin", "manifold"]))?;
    let server = trial.out().join("debug/manifold");
    check_documents(&trial.root, &server)?;
    check_decoder(&server)?;
    check_listener(&trial.target.join("new-protocol"), &server)
}

struct Trial {
    /// The copy of the workspace.
    root: PathBuf,
    /// Where the workspace itself is built.
    target: PathBuf,
}

impl Trial {
    /// Cargo in the copy. Dependencies are those that were built for the workspace, and its own
    /// programs stay untouched.
    fn cargo(&self) -> Command {
        let mut cargo = cargo(&self.root);
        cargo
            .env("CARGO_BUILD_BUILD_DIR", &self.target)
            .env("CARGO_TARGET_DIR", self.out())
            // There is nothing that the workspace does not have.
            .env("CARGO_NET_OFFLINE", "true");
        cargo
    }

    fn out(&self) -> PathBuf {
        self.target.join("new-protocol/target")
    }
}

/// Makes `copy` like the workspace. What is the same already keeps its time, by which cargo knows.
fn copy(root: &Path, copy: &Path) -> Result<()> {
    let files = files(root)?;
    for file in &files {
        let bytes =
            std::fs::read(root.join(file)).with_context(|| format!("cannot read {file}"))?;
        if std::fs::read(copy.join(file)).ok() != Some(bytes.clone()) {
            write(copy, file, &bytes)?;
        }
    }
    for file in walk(copy)? {
        if !files.contains(&file) {
            std::fs::remove_file(copy.join(&file))
                .with_context(|| format!("cannot remove {file}"))?;
        }
    }
    // The chore refuses a folder that is there, even an empty one.
    for folder in FOLDERS {
        let _ = std::fs::remove_dir_all(copy.join(folder));
    }
    Ok(())
}

/// The files of the workspace that belong to it, tracked or new.
fn files(root: &Path) -> Result<BTreeSet<String>> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").current_dir(root).args(arguments).output();
    let output = output.context("cannot start git")?;
    ensure!(output.status.success(), "`git ls-files` failed");
    let text = String::from_utf8(output.stdout).context("a file's name")?;
    let names = text.split('\0').filter(|name| !name.is_empty());
    // One that was deleted is listed until that is committed.
    Ok(names.filter(|name| root.join(name).is_file()).map(str::to_owned).collect())
}

/// All files below `root`.
fn walk(root: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder);
        for entry in entries.with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Some(path) = path.strip_prefix(root).ok().and_then(Path::to_str) {
                found.push(path.to_owned());
            }
        }
    }
    Ok(found)
}

/// Outside its own folders a protocol is a line in each of the two lists.
fn check_changes(root: &Path, copy: &Path) -> Result<()> {
    let before = files(root)?;
    let mut added = BTreeMap::new();
    for file in walk(copy)? {
        // Cargo writes the lock file.
        if file == "Cargo.lock" || FOLDERS.iter().any(|folder| file.starts_with(folder)) {
            continue;
        }
        ensure!(before.contains(&file), "{file} is new");
        let (old, new) = (std::fs::read(root.join(&file))?, std::fs::read(copy.join(&file))?);
        if old != new {
            let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
            let (old, new) = (lines(&old), lines(&new));
            ensure!(new > old, "{file} is changed, not longer");
            added.insert(file, new - old);
        }
    }
    let lines: usize = added.values().sum();
    let files: Vec<&str> = added.keys().map(String::as_str).collect();
    ensure!(files == [lists::MANIFEST, lists::GATEWAYS], "changed: {files:?}");
    ensure!(lines <= LINES_MAX, "{lines} lines are added to {files:?}");
    println!("new-protocol: {lines} lines outside its own folders");
    Ok(())
}

/// The documents of the whole server are the same as before.
fn check_documents(root: &Path, server: &Path) -> Result<()> {
    let output = Command::new(server).args(["config", "--markdown"]).output()?;
    let committed = read(root, "docs/configuration.md")?;
    ensure!(output.stdout == committed.as_bytes(), "docs/configuration.md has changed");
    Ok(())
}

/// `manifold decode` knows the protocol.
fn check_decoder(server: &Path) -> Result<()> {
    let decode = |hex: &str| Command::new(server).args(["decode", NAME, hex]).output();
    let output = decode("0001 06 0001 07")?;
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let expected = "{\"packet\":\"PING\"}\n{\"packet\":\"PONG\"}\n";
    ensure!(output.status.success() && shown == expected, "decode says {shown}");
    let refused = decode("0001 09")?;
    ensure!(refused.status.code() == Some(1), "decode takes a bad packet");
    Ok(())
}

/// A listener with the protocol takes clients.
fn check_listener(folder: &Path, server: &Path) -> Result<()> {
    let data = folder.join("data");
    let _ = std::fs::remove_dir_all(&data);
    let config = folder.join("kettle.toml");
    let text = format!(
        "data_dir = {:?}\n[[listener]]\ngateway = \"{NAME}\"\nbind = \"127.0.0.1:0\"\n",
        data.display().to_string()
    );
    std::fs::write(&config, text).context("cannot write the configuration")?;
    let started = Command::new(server)
        .args(["serve", "--config"])
        .arg(&config)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut running = Running(started.context("cannot start the server")?);
    let address = running.address().context("the server says no address")?;
    let answer = hello(&address)?;
    // WELCOME with code 0 to a session that is new.
    ensure!(answer == [0, 3, 2, 0, 0], "HELLO is answered with {answer:?}");
    println!("new-protocol: {NAME} on {address} takes clients");
    Ok(())
}

/// The server, which ends with the test.
struct Running(Child);

impl Running {
    /// Where it listens, from its log.
    fn address(&mut self) -> Option<String> {
        let log = BufReader::new(self.0.stderr.take()?);
        let mut lines = log.lines().map_while(Result::ok);
        let address = lines.find_map(|line| {
            let (_, rest) = line.split_once("127.0.0.1:")?;
            let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
            Some(format!("127.0.0.1:{port}"))
        });
        // A full pipe would stop the server.
        std::thread::spawn(move || lines.for_each(drop));
        address
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Says HELLO as client "a". The first packet of the answer.
fn hello(address: &str) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).context("cannot connect")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&[0, 8, 1, 0, 0, 0, 1, b'a', 0, 0])?;
    let mut answer = vec![0; 5];
    if let Err(error) = stream.read_exact(&mut answer) {
        bail!("no answer to HELLO: {error}");
    }
    let _ = stream.shutdown(Shutdown::Both);
    Ok(answer)
}

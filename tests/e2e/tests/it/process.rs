//! Foreign programs: started, watched with a deadline, killed at the end.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// No test waits longer than this for anything.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// Asks until there is an answer; panics after [`LIMIT`].
pub(crate) fn wait_for<T>(what: &str, mut answer: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(answer) = answer() {
            return answer;
        }
        assert!(Instant::now() < end, "waited {LIMIT:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A running program whose output is kept; killed when dropped.
pub(crate) struct Process {
    name: String,
    child: Child,
    output: TempDir,
}

impl Process {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> Process {
        let name = format!("{command:?}");
        let output = tempfile::tempdir().expect("a temporary folder");
        let file = |name| File::create(output.path().join(name)).expect("a temporary file");
        let child = command
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {name}: {e}"));
        Process { name, child, output }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    fn read(&self, name: &str) -> String {
        let mut bytes = Vec::new();
        File::open(self.output.path().join(name))
            .and_then(|mut f| f.read_to_end(&mut bytes))
            .expect("the output file exists");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What it has written to standard output so far.
    pub(crate) fn stdout(&self) -> String {
        self.read("stdout")
    }

    /// What it has written to standard error so far.
    pub(crate) fn stderr(&self) -> String {
        self.read("stderr")
    }

    /// Its exit status, once it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the child is ours")
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let name = self.name.clone();
        wait_for(&format!("the end of {name}"), || self.ended())
    }

    /// Waits until it has written a line with `text`, and fails if it ends before.
    pub(crate) fn wait_for_line(&mut self, text: &str) {
        let end = Instant::now() + LIMIT;
        while !self.stdout().contains(text) {
            let ended = self.ended();
            assert!(
                (ended.is_none() || self.stdout().contains(text)) && Instant::now() < end,
                "{} did not say {text:?} (ended: {ended:?}); it said:\n{}{}",
                self.name,
                self.stdout(),
                self.stderr()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal by name, e.g. `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let status =
            Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status();
        assert!(status.expect("`kill` is installed").success(), "cannot send SIG{name}");
    }

    pub(crate) fn kill(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A program whose output comes line by line, though nobody is at a terminal.
pub(crate) fn line_by_line(program: &str) -> Command {
    let mut command = Command::new("stdbuf");
    command.args(["-oL", program]);
    command
}

/// Runs a program to its end; returns how it ended and all that it wrote.
pub(crate) fn finish(command: &mut Command) -> (ExitStatus, String) {
    let mut process = Process::start(command);
    let status = process.wait();
    (status, process.stdout() + &process.stderr())
}

/// Runs a program to its end and returns what it wrote; panics if it fails.
pub(crate) fn run(command: &mut Command) -> String {
    let (status, said) = finish(command);
    assert!(status.success(), "{command:?} failed ({status}):\n{said}");
    said
}

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder that `cargo xtask test setup` makes in the workspace's target folder.
fn installed(variable: &str, name: &str, probe: &str) -> PathBuf {
    let folder = match std::env::var_os(variable) {
        Some(folder) => PathBuf::from(folder),
        None => package().join("../../target").join(name),
    };
    assert!(
        folder.join(probe).exists(),
        "{} is missing: run `cargo xtask test setup`",
        folder.join(probe).display()
    );
    folder
}

/// A script of `tests/e2e/py`, in the environment with the clients.
pub(crate) fn python(script: &str) -> Command {
    let python = installed("MANIFOLD_VENV", "venv", "bin/python").join("bin/python");
    let mut command = Command::new(python);
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(package().join("py").join(script));
    command
}

/// A script of `tests/e2e/js`, with the clients' packages.
pub(crate) fn node(script: &str) -> Command {
    let modules = installed("MANIFOLD_NPM", "npm", "node_modules/mqtt").join("node_modules");
    let mut command = Command::new("node");
    command.env("NODE_PATH", modules).arg(package().join("js").join(script));
    command
}

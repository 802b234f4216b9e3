//! A machine in a temporary folder, on which the tests follow the pages of `docs/`.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use arc_backup_test_s3::S3Server;

use crate::support::{self, Instance, copy_tree};

/// Folders of the documentation that lie in the sandbox.
const ROOTS: [&str; 4] = ["/srv/", "/etc/", "/mnt/", "/usr/local/bin/"];

/// A block of a page.
#[derive(Debug)]
enum Block {
    /// Commands to type.
    Commands(String),
    /// A file: its path, whether the text is appended, and the text.
    File(PathBuf, bool, String),
}

/// A machine: the folders of the documentation, and the programs.
pub(super) struct Machine {
    folder: tempfile::TempDir,
    /// Placeholders of the documentation: a part of a file, and its replacement.
    replaced: Vec<(String, String)>,
}

impl Machine {
    pub(super) fn new() -> Self {
        let machine = Self {
            folder: tempfile::tempdir().unwrap(),
            replaced: Vec::new(),
        };
        for root in ROOTS {
            std::fs::create_dir_all(machine.path(root)).unwrap();
        }
        for folder in [
            "/srv/arc",
            "/srv/arc-test",
            "/etc/arc-backup",
            "/etc/cron.d",
            "/etc/systemd/system",
            "/home",
        ] {
            std::fs::create_dir_all(machine.path(folder)).unwrap();
        }
        symlink(
            env!("CARGO_BIN_EXE_arc-backup"),
            machine.path("/usr/local/bin/arc-backup"),
        )
        .unwrap();
        let stub = machine.path("/usr/local/bin/systemctl");
        let script = format!(
            "#!/bin/sh\necho \"$@\" >>{}\n",
            machine.path("/systemctl.log").display()
        );
        std::fs::write(&stub, script).unwrap();
        std::fs::set_permissions(&stub, std::fs::Permissions::from_mode(0o755)).unwrap();
        machine
    }

    /// With the sample instance in `/srv/arc`.
    pub(super) fn with_instance() -> Self {
        let machine = Self::new();
        copy_tree(&Instance::new().path(""), &machine.path("/srv/arc"));
        // These pages are not about Arc's own backups.
        std::fs::remove_dir_all(machine.path("/srv/arc/data/backups")).unwrap();
        // The pages add the table; its keys in the sample are the defaults.
        let config = machine.path("/srv/arc/arc.toml");
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(config, text.split("[backup]").next().unwrap()).unwrap();
        machine
    }

    /// Replaces the keys and the address of the documentation with those of a store.
    pub(super) fn using(mut self, server: &S3Server) -> Self {
        let options = server.options();
        for (from, to) in [
            ("AKIAEXAMPLE", options.access_key.as_str()),
            ("AKIAREADONLY", options.access_key.as_str()),
            ("secret-example", options.secret_key.as_str()),
        ] {
            self.replaced.push((from.to_owned(), to.to_owned()));
        }
        self
    }

    pub(super) fn path(&self, absolute: &str) -> PathBuf {
        self.folder.path().join(absolute.trim_start_matches('/'))
    }

    /// The text with the sandbox's paths.
    pub(super) fn placed(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for root in ROOTS {
            // A path begins after a space, a quote, `=` or at a line's start; not in the middle of
            // another.
            let mut placed = String::new();
            let mut rest = text.as_str();
            while let Some(at) = rest.find(root) {
                let before = rest[..at].chars().next_back();
                placed.push_str(&rest[..at]);
                if before.is_none_or(|c| c.is_whitespace() || "\"'=:".contains(c)) {
                    placed.push_str(&self.path(root).display().to_string());
                    if !placed.ends_with('/') {
                        placed.push('/');
                    }
                } else {
                    placed.push_str(root);
                }
                rest = &rest[at + root.len()..];
            }
            placed.push_str(rest);
            text = placed;
        }
        for (from, to) in &self.replaced {
            text = text.replace(from, to);
        }
        text
    }

    /// Writes a file of a page.
    fn write(&self, path: &Path, is_added: bool, text: &str) {
        let path = self.path(path.to_str().unwrap());
        let old = match is_added {
            true => std::fs::read_to_string(&path).unwrap_or_default(),
            false => String::new(),
        };
        let text = format!("{old}\n{text}").trim_start().to_owned();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, self.placed(&text)).unwrap();
    }

    /// A command in an environment as small as cron's, with these variables.
    pub(super) fn command(&self, text: &str, variables: &BTreeMap<&str, String>) -> Command {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-ec", &self.placed(text)])
            .env_clear()
            .env("PATH", self.placed("/usr/local/bin/:/usr/bin:/bin"))
            .env("HOME", self.path("/home"))
            .env("SHELL", "/bin/sh")
            .env("LOGNAME", "arc")
            .envs(variables.iter())
            .current_dir(self.path("/home"))
            .stdin(Stdio::null());
        command
    }

    /// Runs commands, which must succeed, and returns their output.
    pub(super) fn run(&self, text: &str, variables: &BTreeMap<&str, String>) -> String {
        let output = self.command(text, variables).output().unwrap();
        let said = support::text(&output);
        assert!(output.status.success(), "{text}\n{said}");
        said
    }

    /// Follows a page: writes its files, and runs its commands in one shell as if typed. Blocks
    /// that contain one of `omitted` are skipped; the test that names them says why.
    pub(super) fn follow(
        &self,
        page: &str,
        omitted: &[&str],
        variables: &BTreeMap<&str, String>,
    ) -> String {
        let mut said = String::new();
        let mut used = vec![false; omitted.len()];
        // A block keeps the variables of earlier ones: sourced files and ids.
        let mut typed = String::new();
        for block in blocks(page) {
            let text = match &block {
                Block::Commands(text) | Block::File(_, _, text) => text,
            };
            if let Some(which) = omitted.iter().position(|part| text.contains(part)) {
                used[which] = true;
                continue;
            }
            match block {
                Block::File(path, is_added, text) => self.write(&path, is_added, &text),
                Block::Commands(text) => {
                    said.push_str(&self.run(&format!("{typed}\n{text}"), variables));
                    let kept = (text.lines())
                        .filter(|line| line.starts_with("set -a;"))
                        .fold(String::new(), |kept, line| kept + line + "\n");
                    typed.push_str(&kept);
                }
            }
        }
        assert!(
            used.iter().all(|used| *used),
            "{page} has none of {omitted:?}"
        );
        said
    }
}

/// The blocks of a page to follow: `sh` blocks, and blocks that begin with the path of a file.
fn blocks(page: &str) -> Vec<Block> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs")
        .join(page);
    let text = std::fs::read_to_string(path).unwrap();
    let mut blocks = Vec::new();
    for part in text.split("\n```").skip(1).step_by(2) {
        let (language, body) = part.split_once('\n').unwrap();
        let first = body.lines().next().unwrap_or_default();
        let file = first.strip_prefix("# /").map(|path| format!("/{path}"));
        match (language, file) {
            (_, Some(path)) => {
                let (path, is_added) = match path.strip_suffix(", at the end") {
                    Some(path) => (path, true),
                    None => (path.as_str(), false),
                };
                let text = body.split_once('\n').unwrap().1;
                blocks.push(Block::File(
                    PathBuf::from(path),
                    is_added,
                    format!("{text}\n"),
                ));
            }
            ("sh", None) => blocks.push(Block::Commands(body.to_owned())),
            _ => {}
        }
    }
    assert!(!blocks.is_empty(), "{page} has no blocks");
    blocks
}

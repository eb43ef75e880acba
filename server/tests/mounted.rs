//! File systems of a test's own, where the machine lets it mount any: that takes root, and loop devices.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A mounted file system that goes away with its test.
#[derive(Debug)]
pub(crate) struct Mounted {
    directory: TempDir,
}

impl Mounted {
    /// An ext4 of 64 MiB in a file. Says why not, if there is none.
    pub(crate) fn ext4() -> Option<Mounted> {
        let mounted = Mounted::prepare();
        let image = mounted.image();
        std::fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
        // It is what shuts it down; from Debian's xfsprogs, and not only for XFS.
        let made = run(Command::new("xfs_io").arg("-V"))
            .and_then(|()| run(Command::new("mkfs.ext4").arg("-q").arg(&image)))
            .and_then(|()| mounted.mount());
        mounted.unless_refused(made)
    }

    /// A file system in memory of so many KiB. Says why not, if there is none.
    pub(crate) fn tmpfs(kib: u32) -> Option<Mounted> {
        let mounted = Mounted::prepare();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={kib}k"), "larder-test"]).arg(mounted.path());
        mounted.unless_refused(run(&mut command))
    }

    fn prepare() -> Mounted {
        let mounted = Mounted { directory: tempfile::tempdir().unwrap() };
        std::fs::create_dir(mounted.path()).unwrap();
        mounted
    }

    fn unless_refused(self, outcome: Result<(), String>) -> Option<Mounted> {
        match outcome {
            Ok(()) => Some(self),
            Err(why) => {
                println!(
                    "skipped: this machine does not let a test mount a file system, or shut it down: {why}"
                );
                None
            }
        }
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("mounted")
    }

    fn image(&self) -> PathBuf {
        self.directory.path().join("image")
    }

    pub(crate) fn resize_tmpfs(&self, kib: u32) {
        let options = format!("remount,size={kib}k");
        run(Command::new("mount").args(["-o", &options]).arg(self.path())).unwrap();
    }

    /// Has everything that writes stand still until what this returns is dropped. Says why not, if it does not.
    pub(crate) fn freeze(&self) -> Option<Frozen> {
        match run(Command::new("fsfreeze").arg("--freeze").arg(self.path())) {
            Ok(()) => Some(Frozen(self.path())),
            Err(why) => {
                println!("skipped: this machine does not let a test freeze a file system: {why}");
                None
            }
        }
    }

    /// Aborts the journal, as an error of the device would.
    pub(crate) fn abort_journal(&self) {
        run(Command::new("mount").args(["-o", "remount,abort"]).arg(self.path())).unwrap();
    }

    /// Ends the file system as a power cut would: what is not on the device by now never gets there.
    pub(crate) fn shut_down(&self) {
        run(Command::new("xfs_io").args(["-x", "-c", "shutdown"]).arg(self.path())).unwrap();
    }

    /// Mounts it anew, checked before.
    pub(crate) fn remount(&self) {
        run(Command::new("umount").arg(self.path())).unwrap();
        // Exit code 1 says that something was mended, such as a journal that was not empty.
        let checked = Command::new("fsck.ext4").args(["-p"]).arg(self.image()).output().unwrap();
        assert!(matches!(checked.status.code(), Some(0 | 1)), "{checked:?}");
        self.mount().unwrap();
    }

    fn mount(&self) -> Result<(), String> {
        run(Command::new("mount").args(["-o", "loop"]).arg(self.image()).arg(self.path()))
    }
}

/// A file system that stands still.
#[derive(Debug)]
pub(crate) struct Frozen(PathBuf);

impl Drop for Frozen {
    fn drop(&mut self) {
        _ = run(Command::new("fsfreeze").arg("--unfreeze").arg(&self.0));
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: after a test that failed, a server may still be about to go.
        _ = run(Command::new("umount").arg("--lazy").arg(self.path()));
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = Path::new(command.get_program()).display().to_string();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim_end()))
    }
}

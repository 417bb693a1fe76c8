//! Finding the built library: beside an installed program, or by building it for a test.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// Cargo's name of the shared library.
const BUILT_NAME: &str = "libnvidia_ml.so";

/// Why the library was not built.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BuildLibraryError {
    /// This program does not run from a cargo target directory.
    #[error("failed to find the target directory above `{}`", executable.display())]
    NoTargetDirectory {
        /// This program.
        executable: PathBuf,
    },
    /// Cargo could not be started.
    #[error("failed to run `{command}`: {reason}")]
    Run {
        /// The command.
        command: String,
        /// Why.
        reason: String,
    },
    /// Cargo failed.
    #[error("`{command}` failed:\n{output}")]
    Cargo {
        /// The command.
        command: String,
        /// What it said.
        output: String,
    },
}

/// Builds the shared library once for this process and says where it is.
///
/// `cargo test` of another crate builds only the Rust library, or leaves a stale shared one, so
/// tests call this before they make a host.
///
/// # Errors
/// When this program is not in a cargo target directory, or cargo fails.
pub fn library() -> Result<PathBuf, BuildLibraryError> {
    static BUILT: OnceLock<Result<PathBuf, BuildLibraryError>> = OnceLock::new();
    BUILT.get_or_init(build).clone()
}

/// The library that lies beside this program.
///
/// # Errors
/// When the path of this program is not known.
pub fn library_beside_executable() -> io::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(BUILT_NAME))
}

fn build() -> Result<PathBuf, BuildLibraryError> {
    let executable = std::env::current_exe().unwrap_or_default();
    let no_target = || BuildLibraryError::NoTargetDirectory {
        executable: executable.clone(),
    };
    let profile_directory = profile_directory(&executable).ok_or_else(no_target)?;
    let target_directory = profile_directory.parent().ok_or_else(no_target)?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args([
            "build",
            "--quiet",
            "--offline",
            "--package",
            "dovetail-gpusim",
            "--lib",
        ])
        .args(["--profile", profile_name(profile_directory)])
        .arg("--target-dir")
        .arg(target_directory)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    run(&mut command)?;
    Ok(profile_directory.join(BUILT_NAME))
}

/// `target/debug` for `target/debug/deps/some_test` and for `target/debug/program`.
fn profile_directory(executable: &Path) -> Option<&Path> {
    let directory = executable.parent()?;
    let inner = ["deps", "examples"]
        .iter()
        .any(|name| directory.ends_with(name));
    if inner {
        directory.parent()
    } else {
        Some(directory)
    }
}

fn profile_name(profile_directory: &Path) -> &str {
    match profile_directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    }
}

fn run(command: &mut Command) -> Result<(), BuildLibraryError> {
    let shown = format!("{command:?}");
    let failed = |error: io::Error| BuildLibraryError::Run {
        command: shown.clone(),
        reason: error.to_string(),
    };
    let Output { status, stderr, .. } = command.output().map_err(failed)?;
    if status.success() {
        return Ok(());
    }
    let output = String::from_utf8_lossy(&stderr).into_owned();
    Err(BuildLibraryError::Cargo {
        command: shown,
        output,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_is_read_from_where_the_program_lies() {
        let directory = |path| profile_directory(Path::new(path)).unwrap();
        assert_eq!(directory("/t/debug/deps/x-1"), Path::new("/t/debug"));
        assert_eq!(directory("/t/release/dovetail"), Path::new("/t/release"));
        assert_eq!(profile_name(Path::new("/t/debug")), "dev");
        assert_eq!(profile_name(Path::new("/t/release")), "release");
    }
}

//! The product's programs, built once for this test run.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

const PACKAGES: [&str; 4] = [
    "dovetail-scheduler",
    "dovetail-agent",
    "dovetail-gpusim",
    "dovetail-cli",
];

/// A program of the product: from the directory `DOVETAIL_PROGRAMS`, else as cargo builds it now.
/// `cargo test` alone would leave a stale one.
pub(crate) fn program(name: &str) -> PathBuf {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    let named = || std::env::var_os("DOVETAIL_PROGRAMS").map(PathBuf::from);
    FOUND
        .get_or_init(|| named().unwrap_or_else(build))
        .join(name)
}

/// Builds into the directory this test was built into, and gives it.
fn build() -> PathBuf {
    let test = std::env::current_exe().expect("the kernel knows this program");
    let built = test
        .parent()
        .and_then(Path::parent)
        .expect("cargo puts tests into `deps`")
        .to_owned();
    let profile = match built.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--offline", "--profile", profile]);
    command.args(PACKAGES.iter().flat_map(|package| ["--package", package]));
    command
        .arg("--target-dir")
        .arg(built.parent().expect("a profile is in a target directory"))
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.output().expect("cargo can be run");
    assert!(
        output.status.success(),
        "{command:?} failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    built
}

/// grpcurl, from `GRPCURL`, from PATH, or where `./dev` installs it. None, and says so, where there
/// is none.
pub(crate) fn find_grpcurl() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("GRPCURL") {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/bin");
    let found = std::env::split_paths(&path)
        .chain([tools])
        .map(|directory| directory.join("grpcurl"))
        .find(|program| program.is_file());
    if found.is_none() {
        println!("skipped: no grpcurl in PATH or target/tools/bin; name it in GRPCURL");
    }
    found
}

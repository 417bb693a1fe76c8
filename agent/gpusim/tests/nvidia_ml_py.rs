//! A simulated host read by NVIDIA's own Python bindings, unmodified, from PyPI.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::{Path, PathBuf};
use std::process::Command;

use nvidia_ml::{Bytes, CreateOptions, Host, HostFile, Process, library};

/// The version whose names and structures were checked against this library.
const PACKAGE: &str = "nvidia-ml-py==13.615.71";

/// Where the bindings are, or why they cannot be had.
fn bindings() -> Result<PathBuf, String> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(PACKAGE);
    if directory.join("pynvml.py").exists() {
        return Ok(directory);
    }
    let output = Command::new("python3")
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
        ])
        .arg("--target")
        .arg(&directory)
        .arg(PACKAGE)
        .output()
        .map_err(|error| format!("python3 cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(directory);
    }
    Err(format!(
        "pip cannot install {PACKAGE}: {}",
        String::from_utf8_lossy(&output.stderr)
    ))
}

#[test]
fn nvidia_ml_py_reads_a_simulated_host_unmodified() {
    let bindings = match bindings() {
        Ok(bindings) => bindings,
        Err(reason) => return eprintln!("skipped: {reason}"),
    };
    let text = "name = 'py'\ncpus = 8\nmemory = '64Gi'\n[[gpu]]\nmodel = 'H100-80'\ncount = 8\n";
    let file = HostFile::parse(text, Path::new("host.toml")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let options = CreateOptions {
        library: library().unwrap(),
        first_minor: 0,
    };
    let (host, _) = Host::create(directory.path(), &file, &options).unwrap();
    let (pid, memory) = (std::process::id(), Bytes(4 << 30));
    host.gpu(0)
        .unwrap()
        .add_process(&Process::compute(pid, memory))
        .unwrap();
    host.gpu(0).unwrap().set_utilization(80).unwrap();

    let output = Command::new("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nvidia_ml_py.py"))
        .args([
            "8",
            "NVIDIA H100 80GB HBM3",
            &pid.to_string(),
            &memory.0.to_string(),
        ])
        .env("PYTHONPATH", bindings)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("LD_LIBRARY_PATH", directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    println!("{said}");
    assert!(output.status.success(), "{said}\n{failed}");
}

//! The disk fills up under the running program. Needs root to mount a small tmpfs, and is skipped,
//! saying so, without.

use crate::program::{Program, submission};
use std::{path::Path, process::Command, time::Duration};
use tonic::Code;
use tonic_types::StatusExt as _;

fn mount(path: &Path) -> bool {
    let done = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"])
        .arg(path)
        .output();
    done.is_ok_and(|done| done.status.success())
}

struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.0).status().ok();
    }
}

/// Leaves this many bytes free.
fn fill(dir: &Path, free: u64) {
    let disk = nix::sys::statvfs::statvfs(dir).unwrap();
    let room = disk.blocks_available() * disk.fragment_size();
    let ballast = usize::try_from(room.saturating_sub(free)).unwrap();
    std::fs::write(dir.join("ballast"), vec![1; ballast]).unwrap();
}

async fn submit(program: &Program, name: &str) -> Result<String, tonic::Status> {
    let reply = program
        .workloads()
        .await
        .submit_workload(submission(name, name))
        .await?;
    Ok(reply.into_inner().workload.unwrap().id)
}

#[tokio::test]
async fn a_full_disk_is_said_and_nothing_acknowledged_is_lost() {
    let data = tempfile::tempdir().unwrap();
    if !mount(data.path()) {
        println!("skipped: mounting a tmpfs needs root");
        return;
    }
    let _mounted = Mounted(data.path());
    let mut program = Program::start_in(data.path()).await;
    let kept = submit(&program, "kept").await.unwrap();

    fill(data.path(), 4 << 20);
    let mut refused = None;
    for n in 0..100 {
        if let Err(status) = submit(&program, &format!("low-{n}")).await {
            refused = Some(status);
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let refused = refused.expect("little room refuses new work");
    assert_eq!(refused.code(), Code::Unavailable);
    let details = refused.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "DISK_NEARLY_FULL");
    assert!(details.retry_info().is_some());
    let cancel = dovetail_proto::v1::CancelWorkloadRequest {
        request_id: "cancel".to_owned(),
        id: kept.clone(),
        ..Default::default()
    };
    program
        .workloads()
        .await
        .cancel_workload(cancel)
        .await
        .unwrap();

    std::fs::remove_file(data.path().join("ballast")).unwrap();
    let mut back = None;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        back = submit(&program, "back").await.ok();
        if back.is_some() {
            break;
        }
    }
    let back = back.expect("with room it goes on");
    program.kill().await;
    program.restart().await;
    for id in [kept, back] {
        let get = dovetail_proto::v1::GetWorkloadRequest { id };
        program.workloads().await.get_workload(get).await.unwrap();
    }
    assert!(program.verify().await.equal);
}

//! What users may not do. Needs root, to become somebody else; skipped, saying so, without.

use crate::program::{Program, submission};
use dovetail_proto::v1::{self, session_request::Message};
use std::{fs, os::unix::fs::PermissionsExt as _};
use tokio::process::Command;
use tokio_stream::StreamExt as _;
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};

/// Tells the stranger which socket to use.
const SOCKET: &str = "DOVETAIL_TEST_SOCKET";
/// The user `nobody` of every distribution.
const NOBODY: u32 = 65534;

#[tokio::test]
async fn strangers_see_only_their_own_and_speak_for_no_node() {
    if !nix::unistd::Uid::effective().is_root() {
        println!("skipped: becoming another user needs root");
        return;
    }
    let program = Program::start().await;
    let mut secret = submission("r1", "secret");
    let spec = secret.workload.as_mut().unwrap();
    spec.env.insert("TOKEN".to_owned(), "42".to_owned());
    program
        .workloads()
        .await
        .submit_workload(secret)
        .await
        .unwrap();
    fs::set_permissions(program.dir(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = program.dir().join("stranger");
    fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    let done = Command::new(copy)
        .args([
            "--exact",
            "strangers::as_a_stranger",
            "--ignored",
            "--nocapture",
        ])
        .env(SOCKET, program.socket())
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && text.contains("1 passed"), "{text}");
    let list = v1::ListWorkloadsRequest::default();
    let all = program
        .workloads()
        .await
        .list_workloads(list)
        .await
        .unwrap()
        .into_inner();
    let tenants: Vec<String> = all.workloads.into_iter().map(|w| w.tenant).collect();
    assert_eq!(
        tenants,
        ["uid:65534", "uid:0"],
        "an operator sees everybody's"
    );
}

async fn channel() -> Channel {
    let socket = std::env::var(SOCKET).unwrap();
    Endpoint::from_shared(format!("unix:{socket}"))
        .unwrap()
        .connect()
        .await
        .unwrap()
}

/// The other half of the test above, run as another user.
#[tokio::test]
#[ignore = "run by the test above, as another user"]
async fn as_a_stranger() {
    let channel = channel().await;
    let mut workloads = v1::workload_service_client::WorkloadServiceClient::new(channel.clone());
    let list = v1::ListWorkloadsRequest::default();
    let mine = workloads.list_workloads(list).await.unwrap().into_inner();
    assert!(mine.workloads.is_empty(), "root's work is not shown");
    for id in ["secret", "w3", "w4"] {
        let get = v1::GetWorkloadRequest { id: id.to_owned() };
        assert_eq!(
            workloads.get_workload(get).await.unwrap_err().code(),
            Code::NotFound
        );
        let cancel = v1::CancelWorkloadRequest {
            request_id: format!("c-{id}"),
            id: id.to_owned(),
            ..v1::CancelWorkloadRequest::default()
        };
        assert_eq!(
            workloads.cancel_workload(cancel).await.unwrap_err().code(),
            Code::NotFound
        );
    }
    let mut as_root = submission("r1", "mine");
    as_root.workload.as_mut().unwrap().user = "root".to_owned();
    let refused = workloads.submit_workload(as_root).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused:?}");
    let own = workloads
        .submit_workload(submission("r1", "mine"))
        .await
        .unwrap()
        .into_inner();
    let own = own.workload.unwrap();
    assert_eq!((own.tenant.as_str(), own.uid), ("uid:65534", NOBODY));

    let mut agents = v1::agent_service_client::AgentServiceClient::new(channel.clone());
    let enroll = agents
        .enroll(v1::EnrollRequest::default())
        .await
        .unwrap_err();
    assert_eq!(enroll.code(), Code::PermissionDenied);
    let hello = v1::SessionRequest {
        message: Some(Message::Hello(v1::Hello::default())),
    };
    let session = agents.session(tokio_stream::iter([hello])).await;
    let refused = match session {
        Err(status) => status,
        Ok(stream) => stream.into_inner().next().await.unwrap().unwrap_err(),
    };
    assert_eq!(refused.code(), Code::PermissionDenied);

    let mut nodes = v1::node_service_client::NodeServiceClient::new(channel.clone());
    let cordon = v1::CordonNodeRequest {
        request_id: "r2".to_owned(),
        name: "n1".to_owned(),
        ..v1::CordonNodeRequest::default()
    };
    assert_eq!(
        nodes.cordon_node(cordon).await.unwrap_err().code(),
        Code::PermissionDenied
    );
    let mut admin = v1::admin_service_client::AdminServiceClient::new(channel);
    let verify = admin
        .verify_journal(v1::VerifyJournalRequest {})
        .await
        .unwrap_err();
    assert_eq!(verify.code(), Code::PermissionDenied);
}

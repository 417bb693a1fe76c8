//! An agent at the other end: enrolment, desired states, fencing, output.

use crate::program::{Program, submission};
use dovetail_proto::v1::{self, session_request::Message};
use std::time::Duration;
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt as _;

const LONG: Duration = Duration::from_secs(10);

pub(crate) struct Agent {
    up: mpsc::Sender<v1::SessionRequest>,
    down: Streaming<v1::SessionResponse>,
}

fn inventory(node: &str, boot_id: &str) -> v1::Inventory {
    v1::Inventory {
        node: node.to_owned(),
        boot_id: boot_id.to_owned(),
        agent_version: "0.1.0".to_owned(),
        allocatable_cpu_milli: 4000,
        allocatable_memory_bytes: 8 << 30,
        level: v1::Level::Shared.into(),
        enforces: vec!["cpu".to_owned()],
        ..v1::Inventory::default()
    }
}

async fn enroll(program: &Program, node: &str, boot_id: &str) -> v1::EnrollResponse {
    let request = v1::EnrollRequest {
        inventory: Some(inventory(node, boot_id)),
    };
    program
        .agents()
        .await
        .enroll(request)
        .await
        .unwrap()
        .into_inner()
}

/// A node with GPUs.
pub(crate) async fn enroll_gpus(program: &Program, node: &str, count: u32) {
    let gpus = (0..count).map(|index| v1::Gpu {
        index,
        uuid: format!("GPU-{node}-{index}"),
        name: "NVIDIA H100 80GB HBM3".to_owned(),
        memory_bytes: 80 << 30,
        health: v1::GpuHealth::Ok.into(),
        share_level: v1::Level::Shared.into(),
        whole_level: v1::Level::Isolated.into(),
        pci_bus_id: format!("00000000:{index:02x}:00.0"),
        ..v1::Gpu::default()
    });
    let inventory = v1::Inventory {
        allocatable_cpu_milli: 64_000,
        gpus: gpus.collect(),
        ..inventory(node, "boot-1")
    };
    let request = v1::EnrollRequest {
        inventory: Some(inventory),
    };
    program.agents().await.enroll(request).await.unwrap();
}

impl Agent {
    async fn connect(program: &Program) -> Self {
        let (up, requests) = mpsc::channel(16);
        let mut agents = program.agents().await;
        let session = agents.session(ReceiverStream::new(requests));
        let down = timeout(LONG, session).await.unwrap().unwrap().into_inner();
        Self { up, down }
    }

    pub(crate) async fn hello(program: &Program, node: &str, boot_id: &str) -> Self {
        let agent = Self::connect(program).await;
        agent
            .say(Message::Hello(v1::Hello {
                node: node.to_owned(),
                boot_id: boot_id.to_owned(),
            }))
            .await;
        agent
    }

    async fn say(&self, message: Message) {
        let message = Some(message);
        self.up.send(v1::SessionRequest { message }).await.unwrap();
    }

    async fn next(&mut self) -> Result<v1::SessionResponse, Status> {
        timeout(LONG, self.down.next())
            .await
            .expect("something comes down")
            .expect("no end")
    }

    /// The first desired state that is as wanted.
    async fn grants(&mut self, wanted: impl Fn(&v1::GrantSet) -> bool) -> v1::GrantSet {
        loop {
            let message = self.next().await.unwrap();
            if let Some(grants) = message.grants.filter(&wanted) {
                return grants;
            }
        }
    }

    async fn running(&self, grants: &v1::GrantSet) {
        let slices = grants.grants.iter().map(|grant| v1::SliceStatus {
            slice_id: grant.placement.as_ref().unwrap().slice_id.clone(),
            state: v1::SliceState::Running.into(),
            exit: None,
            level: v1::Level::Shared.into(),
        });
        self.say(Message::Slices(v1::SliceReport {
            term: grants.term,
            revision: grants.revision,
            slices: slices.collect(),
            orphaned: vec![],
        }))
        .await;
    }
}

#[tokio::test]
async fn an_agent_enrols_is_told_what_to_run_and_its_word_is_shown() {
    let program = Program::start().await;
    let cluster = enroll(&program, "n1", "boot-1").await;
    assert!(!cluster.cluster_id.is_empty());
    let mut agent = Agent::hello(&program, "n1", "boot-1").await;
    let mut workloads = program.workloads().await;
    workloads
        .submit_workload(submission("r1", "a"))
        .await
        .unwrap();
    let grants = agent.grants(|set| !set.grants.is_empty()).await;
    assert_eq!(grants.cluster_id, cluster.cluster_id);
    assert_eq!(grants.grants[0].spec.as_ref().unwrap().name, "a");
    agent.running(&grants).await;
    let get = || v1::GetWorkloadRequest { id: "a".to_owned() };
    let mut state = v1::WorkloadState::Unspecified;
    for _ in 0..100 {
        let shown = workloads.get_workload(get()).await.unwrap().into_inner();
        state = shown.workload.unwrap().state();
        if state == v1::WorkloadState::Running {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(state, v1::WorkloadState::Running);
    let map = program
        .nodes()
        .await
        .get_slice_map(v1::GetSliceMapRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(map.nodes[0].state(), v1::NodeState::Ready);
    assert_eq!(
        (map.nodes[0].used_cpu_milli, map.nodes[0].used_memory_bytes),
        (500, 64 << 20)
    );
}

#[tokio::test]
async fn a_sample_that_does_not_follow_is_asked_for_again() {
    let program = Program::start().await;
    enroll(&program, "n1", "boot-1").await;
    let mut agent = Agent::hello(&program, "n1", "boot-1").await;
    agent
        .say(Message::Sample(v1::Sample {
            sequence: 9,
            base_sequence: 8,
            node: vec![0; 6],
            ..v1::Sample::default()
        }))
        .await;
    while !agent.next().await.unwrap().resend {}
}

#[tokio::test]
async fn sessions_that_are_not_the_nodes_end_with_the_reason() {
    let program = Program::start().await;
    let mut stranger = Agent::hello(&program, "nobody", "boot-1").await;
    let refused = stranger.next().await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("enrol"), "{refused:?}");

    enroll(&program, "n1", "boot-1").await;
    let mut older = Agent::hello(&program, "n1", "boot-1").await;
    older.next().await.unwrap();
    let mut newer = Agent::hello(&program, "n1", "boot-1").await;
    newer.next().await.unwrap();
    let fenced = loop {
        if let Err(status) = older.next().await {
            break status;
        }
    };
    assert!(fenced.message().contains("newer session"), "{fenced:?}");

    let mut rude = Agent::connect(&program).await;
    rude.say(Message::Usage(v1::Usage::default())).await;
    let refused = rude.next().await.unwrap_err();
    assert_eq!(
        refused
            .get_error_details()
            .bad_request()
            .unwrap()
            .field_violations[0]
            .field,
        "hello"
    );
}

#[tokio::test]
async fn a_broken_report_ends_the_session_naming_the_field() {
    let program = Program::start().await;
    enroll(&program, "n1", "boot-1").await;
    let mut agent = Agent::hello(&program, "n1", "boot-1").await;
    agent
        .say(Message::Inventory(inventory("n2", "boot-1")))
        .await;
    let refused = loop {
        if let Err(status) = agent.next().await {
            break status;
        }
    };
    let details = refused.get_error_details();
    assert_eq!(
        details.bad_request().unwrap().field_violations[0].field,
        "inventory.node"
    );
}

#[tokio::test]
async fn output_is_read_through_the_agent() {
    let program = Program::start().await;
    enroll(&program, "n1", "boot-1").await;
    let mut agent = Agent::hello(&program, "n1", "boot-1").await;
    let mut workloads = program.workloads().await;
    workloads
        .submit_workload(submission("r1", "a"))
        .await
        .unwrap();
    let grants = agent.grants(|set| !set.grants.is_empty()).await;
    agent.running(&grants).await;
    let node = tokio::spawn(async move {
        let mut asked = 0;
        while let Ok(message) = agent.next().await {
            for read in message.reads {
                asked += 1;
                let stdout = read.stream() == v1::OutputStream::Stdout;
                let text: &[u8] = if stdout { b"hello" } else { b"" };
                let from = usize::try_from(read.offset).unwrap().min(text.len());
                let chunk = v1::OutputChunk {
                    read_id: read.read_id,
                    data: text[from..].to_vec(),
                    offset: read.offset,
                    ended: asked > 6,
                    error: String::new(),
                };
                agent.say(Message::Output(chunk)).await;
            }
        }
    });
    for follow in [false, true] {
        let request = v1::ReadLogsRequest {
            id: "a".to_owned(),
            follow,
            ..v1::ReadLogsRequest::default()
        };
        let mut logs = workloads.read_logs(request).await.unwrap().into_inner();
        let mut text = vec![];
        while let Some(piece) = timeout(LONG, logs.next()).await.unwrap() {
            text.extend(piece.unwrap().data);
        }
        assert_eq!(text, b"hello");
    }
    node.abort();
    let mut wrong = v1::ReadLogsRequest {
        id: "a".to_owned(),
        member: 1,
        ..v1::ReadLogsRequest::default()
    };
    assert_eq!(
        workloads.read_logs(wrong.clone()).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    wrong.member = 0;
    wrong.attempt = 7;
    assert_eq!(
        workloads.read_logs(wrong).await.unwrap_err().code(),
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn nodes_are_cordoned_listed_and_forgotten() {
    let program = Program::start().await;
    for node in ["n1", "n2", "n3"] {
        enroll(&program, node, "boot-1").await;
    }
    let mut nodes = program.nodes().await;
    let cordon = v1::CordonNodeRequest {
        request_id: "c1".to_owned(),
        name: "n2".to_owned(),
        reason: "fan".to_owned(),
        ..v1::CordonNodeRequest::default()
    };
    for _ in 0..2 {
        let node = nodes
            .cordon_node(cordon.clone())
            .await
            .unwrap()
            .into_inner()
            .node
            .unwrap();
        assert_eq!((node.cordoned, node.cordon_reason.as_str()), (true, "fan"));
    }
    let list = |token: &str| v1::ListNodesRequest {
        page_size: 2,
        page_token: token.to_owned(),
    };
    let first = nodes.list_nodes(list("")).await.unwrap().into_inner();
    let second = nodes
        .list_nodes(list(&first.next_page_token))
        .await
        .unwrap()
        .into_inner();
    let names = [first.nodes, second.nodes]
        .concat()
        .into_iter()
        .map(|n| n.name);
    assert_eq!(names.collect::<Vec<_>>(), ["n1", "n2", "n3"]);
    assert!(second.next_page_token.is_empty());
    let forget = v1::ForgetNodeRequest {
        request_id: "f1".to_owned(),
        name: "n2".to_owned(),
        ..v1::ForgetNodeRequest::default()
    };
    nodes.forget_node(forget).await.unwrap();
    let get = v1::GetNodeRequest {
        name: "n2".to_owned(),
    };
    assert_eq!(
        nodes.get_node(get).await.unwrap_err().code(),
        Code::NotFound
    );
}

//! What tools find without the schema: reflection in both versions, and health.

use crate::program::Program;
use tokio_stream::StreamExt as _;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::{v1, v1alpha};

const SERVICES: [&str; 7] = [
    "dovetail.v1.AdminService",
    "dovetail.v1.AgentService",
    "dovetail.v1.NodeService",
    "dovetail.v1.WorkloadService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

macro_rules! services {
    ($version:ident, $program:expr) => {{
        use $version::{
            ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
            server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
        };
        let mut client = ServerReflectionClient::new($program.channel().await);
        let ask = |message| ServerReflectionRequest {
            host: String::new(),
            message_request: Some(message),
        };
        let questions = [
            ask(MessageRequest::ListServices(String::new())),
            ask(MessageRequest::FileContainingSymbol(
                "grpc.health.v1.Health".to_owned(),
            )),
            ask(MessageRequest::FileContainingSymbol(
                "dovetail.v1.WorkloadSpec".to_owned(),
            )),
        ];
        let answers = client
            .server_reflection_info(tokio_stream::iter(questions))
            .await;
        let answers: Vec<_> = answers.unwrap().into_inner().collect().await;
        let mut answers = answers
            .into_iter()
            .map(|answer| answer.unwrap().message_response.unwrap());
        let Some(MessageResponse::ListServicesResponse(list)) = answers.next() else {
            panic!("a list was asked for");
        };
        for answer in answers {
            assert!(
                matches!(answer, MessageResponse::FileDescriptorResponse(_)),
                "{answer:?}"
            );
        }
        let mut names: Vec<String> = list
            .service
            .into_iter()
            .map(|service| service.name)
            .collect();
        names.sort();
        names
    }};
}

#[tokio::test]
async fn reflection_in_both_versions_names_every_service() {
    let program = Program::start().await;
    assert_eq!(services!(v1, program), SERVICES);
    assert_eq!(services!(v1alpha, program), SERVICES);
}

#[tokio::test]
async fn every_service_is_healthy_once_the_state_is_recovered() {
    let program = Program::start().await;
    let mut health = HealthClient::new(program.channel().await);
    for service in ["", SERVICES[0], SERVICES[1], SERVICES[2], SERVICES[3]] {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
}

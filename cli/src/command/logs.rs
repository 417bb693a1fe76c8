//! `dovetail logs`: a member's output, stdout to stdout and stderr to stderr.

use crate::{
    args::{Global, LogsArgs},
    client::Client,
    error::{CliError, exit},
};
use dovetail_model::units::Bytes;
use dovetail_proto::v1::{OutputStream, ReadLogsRequest};
use std::io::Write as _;

pub(crate) async fn run(global: &Global, args: LogsArgs) -> Result<u8, CliError> {
    let tail = args.tail.as_deref().map(str::parse::<Bytes>).transpose();
    let tail = tail.map_err(|error| CliError::usage(format!("--tail: {error}")))?;
    let client = Client::connect(global).await?;
    let request = ReadLogsRequest {
        id: args.id,
        member: args.member,
        follow: args.follow,
        tail_bytes: tail.map_or(0, |bytes| bytes.0),
        attempt: 0,
    };
    let mut stream = client.call(client.workloads().read_logs(request)).await?;
    while let Some(chunk) = stream.message().await.map_err(CliError::from)? {
        let written = match chunk.stream() {
            OutputStream::Stderr => std::io::stderr().write_all(&chunk.data),
            OutputStream::Stdout | OutputStream::Unspecified => std::io::stdout()
                .write_all(&chunk.data)
                .and_then(|()| std::io::stdout().flush()),
        };
        if written.is_err() {
            // The reader has gone away: `dovetail logs -f x | head`.
            break;
        }
    }
    Ok(exit::DONE)
}

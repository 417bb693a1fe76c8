//! Reading a member's output from its node, piece by piece, through the agent's session.

use super::{Api, status, workload_ref};
use crate::sessions::ReadError;
use dovetail_core::{
    effect::{Answer, WorkloadView},
    input::{Caller, Request as Ask, WorkloadRef},
};
use dovetail_model::id::{NodeName, SliceId, WorkloadId};
use dovetail_proto::{convert::Violations, v1};
use std::{pin::Pin, time::Duration};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// Bytes of one piece, as the schema allows.
const PIECE_BYTES: u32 = 64 << 10;
/// Most bytes of a tail, as the schema says.
const TAIL_MAX_BYTES: u64 = 64 << 20;
/// How often a member that runs is asked for more.
const FOLLOW_EVERY: Duration = Duration::from_millis(250);
/// How long a follower bears that the node does not answer: an agent restarts faster.
const PATIENCE: Duration = Duration::from_secs(20);
/// Pieces that the client has not taken yet.
const PIECES_MAX: usize = 4;

/// Pieces of output.
pub(super) type Stream =
    Pin<Box<dyn tokio_stream::Stream<Item = Result<v1::ReadLogsResponse, Status>> + Send>>;

type Pieces = mpsc::Sender<Result<v1::ReadLogsResponse, Status>>;

/// Where a member's output is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    node: NodeName,
    slice: SliceId,
}

/// One of the two outputs, and how far it was read.
struct Output {
    stream: v1::OutputStream,
    offset: u64,
    /// The first piece is counted from the end.
    tail: bool,
    ended: bool,
}

/// Begins to read. Errors that can be known at once are answered at once.
pub(super) async fn read(
    api: Api,
    caller: Caller,
    wire: v1::ReadLogsRequest,
) -> Result<Stream, Status> {
    if wire.tail_bytes > TAIL_MAX_BYTES {
        let text = format!("must be 0 to {TAIL_MAX_BYTES}, got {}", wire.tail_bytes);
        return Err(status::violations(Violations::one("tail_bytes", text)));
    }
    let view = get(&api, &caller, workload_ref(&wire.id)?).await?;
    let place = place(&view, &wire)?;
    if place.is_none() && !wire.follow {
        let id = view.workload.id.to_string();
        let why = "has not been placed yet; with follow it is waited for";
        return Err(status::precondition("NOT_STARTED", &id, why));
    }
    let (pieces, stream) = mpsc::channel(PIECES_MAX);
    let reading = Reading {
        api,
        caller,
        // From here on by id: the name may be taken by another workload.
        workload: view.workload.id,
        wire,
        pieces,
    };
    tokio::spawn(async move {
        if let Err(status) = reading.run(place).await {
            // The client may have gone.
            reading.pieces.send(Err(status)).await.ok();
        }
    });
    Ok(Box::pin(ReceiverStream::new(stream)))
}

async fn get(
    api: &Api,
    caller: &Caller,
    workload: WorkloadRef,
) -> Result<Box<WorkloadView>, Status> {
    match api.ask(caller.clone(), Ask::Get { workload }).await? {
        Answer::Workload {
            workload: Some(view),
            ..
        } => Ok(view),
        _ => Err(status::mismatched("one workload was asked for")),
    }
}

/// Where the wanted member is; nothing: it waits for a place.
fn place(view: &WorkloadView, wire: &v1::ReadLogsRequest) -> Result<Option<Place>, Status> {
    let workload = &view.workload;
    let bad = |field, text| Err(status::violations(Violations::one(field, text)));
    let (members, member) = (workload.spec.gang_size, wire.member);
    if member >= members {
        return bad(
            "member",
            format!("must be 0 to {}, got {member}", members - 1),
        );
    }
    let (newest, attempt) = (workload.attempt, wire.attempt);
    if attempt > newest {
        return bad(
            "attempt",
            format!("must be at most {newest}, the newest attempt"),
        );
    }
    if attempt != 0 && attempt < newest {
        let id = workload.id.to_string();
        let why = "only the newest attempt's output can be read through the scheduler";
        return Err(status::precondition("ATTEMPT_PAST", &id, why));
    }
    let found = usize::try_from(member)
        .ok()
        .and_then(|index| workload.members.get(index));
    Ok(found.map(|member| Place {
        node: member.placement.node.clone(),
        slice: member.placement.slice,
    }))
}

/// A read under way.
struct Reading {
    api: Api,
    caller: Caller,
    workload: WorkloadId,
    wire: v1::ReadLogsRequest,
    pieces: Pieces,
}

impl Reading {
    async fn run(&self, found: Option<Place>) -> Result<(), Status> {
        let Some(place) = self.wait(found).await? else {
            return Ok(());
        };
        let output = |stream| Output {
            stream,
            offset: self.wire.tail_bytes,
            tail: self.wire.tail_bytes > 0,
            ended: false,
        };
        let mut outputs = [
            output(v1::OutputStream::Stdout),
            output(v1::OutputStream::Stderr),
        ];
        loop {
            for output in outputs.iter_mut().filter(|output| !output.ended) {
                self.drain(&place, output).await?;
            }
            let ended = outputs.iter().all(|output| output.ended);
            if ended || !self.wire.follow || self.pieces.is_closed() {
                return Ok(());
            }
            sleep(FOLLOW_EVERY).await;
        }
    }

    /// Until the member has a place; nothing: it never will, or nobody listens any more.
    async fn wait(&self, mut found: Option<Place>) -> Result<Option<Place>, Status> {
        while found.is_none() {
            sleep(FOLLOW_EVERY).await;
            let workload = WorkloadRef::Id(self.workload);
            let view = get(&self.api, &self.caller, workload).await?;
            found = place(&view, &self.wire)?;
            let over = found.is_none() && !view.workload.is_live();
            if over || self.pieces.is_closed() {
                return Ok(None);
            }
        }
        Ok(found)
    }

    /// Reads one output until there is no more for now.
    async fn drain(&self, place: &Place, output: &mut Output) -> Result<(), Status> {
        loop {
            let chunk = self.piece(place, output).await?;
            if !chunk.error.is_empty() {
                let slice = place.slice.to_string();
                return Err(status::precondition("OUTPUT", &slice, &chunk.error));
            }
            let length = chunk.data.len();
            output.tail = false;
            output.offset = chunk.offset.saturating_add(length as u64);
            output.ended = chunk.ended;
            if length > 0 {
                let piece = v1::ReadLogsResponse {
                    data: chunk.data,
                    stream: output.stream.into(),
                };
                if self.pieces.send(Ok(piece)).await.is_err() {
                    return Ok(());
                }
            }
            if chunk.ended || length < PIECE_BYTES as usize {
                return Ok(());
            }
        }
    }

    /// One piece; a follower is patient with a node whose agent is being restarted.
    async fn piece(&self, place: &Place, output: &Output) -> Result<v1::OutputChunk, Status> {
        let read = v1::ReadOutput {
            read_id: 0,
            slice_id: place.slice.to_string(),
            stream: output.stream.into(),
            offset: output.offset,
            max_bytes: PIECE_BYTES,
            from_end: output.tail,
        };
        let since = Instant::now();
        loop {
            match self.api.sessions.read(&place.node, read.clone()).await {
                Ok(chunk) => return Ok(chunk),
                Err(ReadError::Unreachable(_))
                    if self.wire.follow && since.elapsed() < PATIENCE =>
                {
                    sleep(FOLLOW_EVERY).await;
                }
                Err(error) => return Err(status::unread(&error)),
            }
        }
    }
}

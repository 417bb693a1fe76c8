//! AdminService.

use super::{Api, show::explanation::count, status};
use crate::journal::ReplayError;
use dovetail_core::{
    effect::{Answer, Status as Counters},
    input::{Caller, Request as Ask},
};
use dovetail_proto::v1;
use std::sync::Arc;
use tokio::task::spawn_blocking;
use tonic::{Request, Response, Status};

/// How often a verification begins again because a newer snapshot dropped what it wanted to read.
const VERIFY_TRIES: usize = 3;

impl Api {
    async fn counters(&self, caller: Caller) -> Result<Box<Counters>, Status> {
        let _turn = self.hashing.acquire().await;
        match self.ask(caller, Ask::Status).await? {
            Answer::Status(counters) => Ok(counters),
            _ => Err(status::mismatched("the status was asked for")),
        }
    }

    /// The state at the revision that memory was at, recomputed from what the disk holds.
    async fn verify(&self, caller: Caller) -> Result<v1::VerifyJournalResponse, Status> {
        let mut tries = 0;
        loop {
            let memory = self.counters(caller.clone()).await?;
            let (journal, revision) = (Arc::clone(&self.journal), memory.revision.0);
            let replayed = spawn_blocking(move || {
                journal.replay(Some(revision)).map(|replayed| {
                    let state = &replayed.state;
                    (state.hash(), state.revision().0, replayed.records)
                })
            });
            tries += 1;
            match replayed.await {
                Ok(Ok((journal_hash, replayed_to, records))) => {
                    return Ok(v1::VerifyJournalResponse {
                        equal: memory.hash == journal_hash && replayed_to == revision,
                        memory_hash: memory.hash,
                        journal_hash,
                        revision,
                        records,
                    });
                }
                Ok(Err(ReplayError::Dropped { .. })) if tries < VERIFY_TRIES => {}
                Ok(Err(error)) => {
                    tracing::error!(%error, "the journal was verified and is wrong");
                    return Err(status::unverified(&error));
                }
                Err(_) => return Err(status::mismatched("the journal's reader died")),
            }
        }
    }
}

#[tonic::async_trait]
impl v1::admin_service_server::AdminService for Api {
    async fn get_version(
        &self,
        request: Request<v1::GetVersionRequest>,
    ) -> Result<Response<v1::GetVersionResponse>, Status> {
        self.identity.caller(&request)?;
        Ok(Response::new(v1::GetVersionResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            cluster_id: self.born.cluster.to_string(),
            term: self.born.term.0,
        }))
    }

    async fn get_status(
        &self,
        request: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::GetStatusResponse>, Status> {
        let caller = self.identity.caller(&request)?;
        let counters = self.counters(caller).await?;
        Ok(Response::new(v1::GetStatusResponse {
            revision: counters.revision.0,
            state_hash: counters.hash,
            pending: count(counters.pending),
            placed: count(counters.placed),
            nodes_ready: count(counters.ready),
            nodes_unreachable: count(counters.unreachable),
            solver: Some(v1::SolverCounters {
                runs: counters.solver.runs,
                improved: counters.solver.improved,
                fallbacks: counters.solver.fallbacks,
                kills: counters.solver.kills,
                gap_permille: counters.solver.gap_permille,
                mix_fits_gpu_milli: counters.solver.mix_fits.map(|fits| fits.0),
            }),
            plans_rejected: counters.plans_rejected,
            gpu_used_milli: counters.gpu_used.0,
            gpu_milli: counters.gpu.0,
        }))
    }

    async fn verify_journal(
        &self,
        request: Request<v1::VerifyJournalRequest>,
    ) -> Result<Response<v1::VerifyJournalResponse>, Status> {
        let caller = self.identity.caller(&request)?;
        if !caller.operator {
            return Err(status::denied("verify the journal", "only an operator may"));
        }
        self.verify(caller).await.map(Response::new)
    }
}

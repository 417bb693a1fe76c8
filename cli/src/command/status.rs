//! `dovetail status`: the scheduler's counters, and whether its state is what its journal says.

use crate::{
    args::{Global, StatusArgs},
    client::Client,
    error::{CliError, exit},
    output,
};
use dovetail_proto::v1::{
    GetStatusRequest, GetStatusResponse, VerifyJournalRequest, VerifyJournalResponse,
};

pub(crate) async fn run(global: &Global, args: StatusArgs) -> Result<u8, CliError> {
    let client = Client::connect(global).await?;
    if args.verify {
        let reply = client
            .call(client.admin().verify_journal(VerifyJournalRequest {}))
            .await?;
        output::reply(global.output, &reply, "VerifyJournalResponse", verdict)?;
        return Ok(if reply.equal {
            exit::DONE
        } else {
            exit::FAILURE
        });
    }
    let reply = client
        .call(client.admin().get_status(GetStatusRequest {}))
        .await?;
    output::reply(global.output, &reply, "GetStatusResponse", counters)?;
    Ok(exit::DONE)
}

fn verdict(reply: &VerifyJournalResponse) -> String {
    let word = if reply.equal { "equal" } else { "DIFFERENT" };
    format!(
        "{word} at revision {} ({} records after the snapshot)\n  memory   {}\n  journal  {}\n",
        reply.revision, reply.records, reply.memory_hash, reply.journal_hash
    )
}

/// What the solver says of packings and of the mix, as far as it has said something.
fn outlook(reply: &GetStatusResponse) -> String {
    let solver = reply.solver.unwrap_or_default();
    let mut lines = format!(
        "GPUs       {} of {} in use\n",
        thousandths(reply.gpu_used_milli),
        thousandths(reply.gpu_milli)
    );
    if let Some(gap) = solver.gap_permille {
        let percent = format!("{}.{}", gap / 10, gap % 10);
        lines += &format!("gap        {percent} % below the ceiling of the newest window\n");
    }
    if let Some(fits) = solver.mix_fits_gpu_milli {
        let more = fits.saturating_sub(reply.gpu_used_milli);
        lines += &format!(
            "headroom   {} more GPUs of the work that comes; empty, the cluster takes {}\n",
            thousandths(more),
            thousandths(fits)
        );
    }
    lines
}

/// GPUs, rounded down to tenths.
fn thousandths(milli: u64) -> String {
    format!("{}.{}", milli / 1000, milli % 1000 / 100)
}

fn counters(reply: &GetStatusResponse) -> String {
    let solver = reply.solver.unwrap_or_default();
    format!(
        "revision   {}\nstate      {}\nworkloads  {} placed, {} pending\nnodes      {} ready, {} unreachable\n\
         solver     {} runs, {} improved, {} fallbacks, {} kills\n{}refused    {} plans or steps\n",
        reply.revision,
        reply.state_hash,
        reply.placed,
        reply.pending,
        reply.nodes_ready,
        reply.nodes_unreachable,
        solver.runs,
        solver.improved,
        solver.fallbacks,
        solver.kills,
        outlook(reply),
        reply.plans_rejected
    )
}

//! Workloads for people.

use super::{age, bytes, columns, cpu, gpu, labels, pairs, short, state, time};
use dovetail_proto::v1::{
    Cause, ExitRecord, GpuRequest, Level, Member, Placement, Toleration, TolerationOperator,
    Workload, WorkloadSpec, WorkloadState, gpu_request::Amount,
};

/// One line each; the last column says where, or why not.
pub(crate) fn workloads(list: &[Workload]) -> String {
    if list.is_empty() {
        return "no workloads; submit one with `dovetail submit`, or see ended ones with `dovetail ps -a`\n".to_owned();
    }
    let header = [
        "ID",
        "NAME",
        "QUEUE",
        "OWNER",
        "STATE",
        "AGE",
        "GPUS",
        "CPU",
        "MEMORY",
        "WHERE/REASON",
    ];
    columns(&header, list.iter().map(row))
}

fn row(workload: &Workload) -> Vec<String> {
    let spec = workload.spec.clone().unwrap_or_default();
    let resources = spec.resources.clone().unwrap_or_default();
    vec![
        workload.id.clone(),
        spec.name.clone(),
        spec.queue.clone(),
        workload.tenant.clone(),
        state(workload.state()),
        age(workload.submitted_at),
        gpus(&spec),
        times(&spec, cpu(resources.cpu_milli)),
        times(&spec, bytes(resources.memory_bytes)),
        place_or_reason(workload),
    ]
}

/// `2 x 8` for a gang of two with eight each.
fn times(spec: &WorkloadSpec, each: String) -> String {
    if spec.gang_size > 1 {
        format!("{}x {each}", spec.gang_size)
    } else {
        each
    }
}

fn gpus(spec: &WorkloadSpec) -> String {
    let gpu = spec
        .resources
        .as_ref()
        .and_then(|resources| resources.gpu.as_ref());
    gpu.map_or_else(|| "-".to_owned(), |gpu| times(spec, amount(gpu)))
}

fn amount(request: &GpuRequest) -> String {
    match request.amount {
        Some(Amount::Whole(whole)) => whole.count.to_string(),
        Some(Amount::Share(share)) => match (share.compute_milli, share.memory_bytes) {
            (Some(milli), _) => gpu(milli),
            (None, Some(memory)) => bytes(memory),
            (None, None) => "?".to_owned(),
        },
        None => "-".to_owned(),
    }
}

fn place_or_reason(workload: &Workload) -> String {
    if let Some(reason) = &workload.reason {
        return format!("{}: {}", reason.token, reason.text);
    }
    match workload.state() {
        WorkloadState::Failed | WorkloadState::Lost => ended(workload),
        WorkloadState::Succeeded | WorkloadState::Cancelled => String::new(),
        _ => nodes(workload),
    }
}

fn nodes(workload: &Workload) -> String {
    let mut names: Vec<&str> = workload
        .members
        .iter()
        .filter_map(|m| m.placement.as_ref())
        .map(|p| p.node.as_str())
        .collect();
    names.dedup();
    names.join(",")
}

fn ended(workload: &Workload) -> String {
    let failed = workload.members.iter().filter_map(|m| m.exit.as_ref());
    let own = failed.clone().find(|exit| exit.cause() == workload.cause());
    own.map_or_else(|| cause(workload.cause()), exit)
}

fn cause(cause: Cause) -> String {
    short(cause.as_str_name(), "CAUSE_")
}

/// `EXIT 3`, `OOM`, `START_FAILED: …`.
fn exit(record: &ExitRecord) -> String {
    let name = cause(record.cause());
    match record.cause() {
        Cause::Exit => format!("{name} {}", record.code),
        Cause::Signal => format!("{name} {}", record.signal),
        Cause::StartFailed => format!("{name}: {}", record.message),
        _ => name,
    }
}

/// Everything about one workload.
pub(crate) fn workload(workload: &Workload) -> String {
    let spec = workload.spec.clone().unwrap_or_default();
    let mut text = pairs(&[
        ("id", workload.id.clone()),
        ("name", spec.name.clone()),
        ("tenant", workload.tenant.clone()),
        ("runs as", format!("uid {}", workload.uid)),
        (
            "kind",
            short(spec.kind().as_str_name(), "WORKLOAD_KIND_").to_lowercase(),
        ),
        (
            "queue",
            format!("{} (priority {})", spec.queue, spec.priority),
        ),
        ("state", state(workload.state())),
        (
            "reason",
            workload
                .reason
                .as_ref()
                .map(|r| format!("{}: {}", r.token, r.text))
                .unwrap_or_default(),
        ),
        ("needs", needs(&spec)),
        ("on nodes", labels(&spec.node_selector)),
        ("tolerates", tolerations(&spec.tolerations)),
        ("movable", movable(&spec)),
        ("command", spec.argv.join(" ")),
        ("submitted", time(workload.submitted_at)),
        ("ended", time(workload.ended_at)),
        (
            "attempt",
            if workload.attempt == 0 {
                String::new()
            } else {
                workload.attempt.to_string()
            },
        ),
        ("revision", workload.revision.to_string()),
    ]);
    for member in &workload.members {
        text += &format!("\nmember {}\n", member.index);
        text += &indented(&member_pairs(member));
    }
    text
}

fn tolerations(list: &[Toleration]) -> String {
    let shown = |toleration: &Toleration| match toleration.operator() {
        TolerationOperator::Exists => toleration.key.clone(),
        _ => format!("{}={}", toleration.key, toleration.value),
    };
    list.iter().map(shown).collect::<Vec<_>>().join(", ")
}

fn movable(spec: &WorkloadSpec) -> String {
    let Some(movable) = spec.movable else {
        return String::new();
    };
    let each = match spec.resources.as_ref().and_then(|r| r.gpu.as_ref()) {
        Some(_) => "GPU",
        None => "member",
    };
    let seconds = movable.restart_cost_seconds;
    format!("yes, at {seconds} s of work lost per {each}")
}

fn needs(spec: &WorkloadSpec) -> String {
    let resources = spec.resources.clone().unwrap_or_default();
    let each = format!(
        "{} CPU, {}",
        cpu(resources.cpu_milli),
        bytes(resources.memory_bytes)
    );
    let gpus = resources.gpu.as_ref().map(|request| {
        let models = if request.models.is_empty() {
            String::new()
        } else {
            format!(" ({})", request.models.join(" or "))
        };
        format!(", {} GPU{models}", amount(request))
    });
    let gang = if spec.gang_size > 1 {
        format!("{} members, each ", spec.gang_size)
    } else {
        String::new()
    };
    format!("{gang}{each}{}", gpus.unwrap_or_default())
}

fn member_pairs(member: &Member) -> String {
    let placement = member.placement.clone().unwrap_or_default();
    let record = member.exit.as_ref();
    let level = if member.level() == Level::Unspecified {
        String::new()
    } else {
        short(member.level().as_str_name(), "LEVEL_").to_lowercase()
    };
    pairs(&[
        ("slice", placement.slice_id.clone()),
        ("state", state(member.state())),
        ("node", placement.node.clone()),
        ("gpus", gpu_grants(&placement)),
        ("enforcement", level),
        (
            "cpu used",
            if member.cpu_used_ns == 0 {
                String::new()
            } else {
                format!("{} ms", member.cpu_used_ns / 1_000_000)
            },
        ),
        ("ended by", record.map(exit).unwrap_or_default()),
        (
            "last output",
            record
                .map(|r| harmless(r.output_tail.trim_end()).replace('\n', "\n             "))
                .unwrap_or_default(),
        ),
    ])
}

/// What a program wrote, without what a terminal would obey: that is for `dovetail logs`.
fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => shown.push(character),
            control if control.is_control() => shown.extend(control.escape_default()),
            other => shown.push(other),
        }
    }
    shown
}

fn gpu_grants(placement: &Placement) -> String {
    let grant = |gpu: &dovetail_proto::v1::GpuGrant| {
        format!(
            "#{} {} with {}",
            gpu.index,
            self::gpu(gpu.compute_milli),
            bytes(gpu.memory_bytes)
        )
    };
    placement
        .gpus
        .iter()
        .map(grant)
        .collect::<Vec<_>>()
        .join(", ")
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// Where members are, or would go.
pub(crate) fn placements(list: &[Placement]) -> String {
    let row = |p: &Placement| {
        vec![
            p.slice_id.clone(),
            p.node.clone(),
            cpu(p.cpu_milli),
            bytes(p.memory_bytes),
            gpu_grants(p),
        ]
    };
    columns(
        &["SLICE", "NODE", "CPU", "MEMORY", "GPUS"],
        list.iter().map(row),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_nothing_of_what_a_program_wrote() {
        let shown = harmless("a\tb\n\u{1b}]0;title\u{7}\0é");
        assert_eq!(shown, "a\tb\n\\u{1b}]0;title\\u{7}\\u{0}é");
    }
}

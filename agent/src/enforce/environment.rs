//! The environment of a slice's process: the workload's own, and what Dovetail tells it.

use dovetail_model::grant::Grant;
use std::collections::BTreeMap;

/// Where programs are looked for unless the workload says otherwise.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Ports that members of gangs meet on: below the kernel's ephemeral ports, spread by workload so
/// that two gangs with the same first node do not meet each other.
const FIRST_PORT: u64 = 20_000;
const PORTS: u64 = 10_000;

/// Every variable of the slice's first process.
pub(super) fn environment(grant: &Grant) -> BTreeMap<String, String> {
    let placement = &grant.placement;
    let slice = placement.slice;
    let first = grant.gang_nodes.first().unwrap_or(&placement.node);
    let members: Vec<&str> = grant.gang_nodes.iter().map(|node| node.as_str()).collect();
    let gpus: Vec<&str> = placement.gpus.iter().map(|gpu| &*gpu.uuid.0).collect();
    let gpus = gpus.join(",");
    let nothing_visible = || "void".to_owned();
    let port = FIRST_PORT + slice.workload.0 % PORTS;
    let ours = [
        ("DOVETAIL_WORKLOAD", grant.spec.name.to_string()),
        ("DOVETAIL_SLICE", slice.to_string()),
        ("DOVETAIL_NODE", placement.node.to_string()),
        ("DOVETAIL_GANG_NODES", members.join(",")),
        ("RANK", slice.member.to_string()),
        ("WORLD_SIZE", grant.spec.gang_size.to_string()),
        ("MASTER_ADDR", first.to_string()),
        ("MASTER_PORT", port.to_string()),
        (
            "NVIDIA_VISIBLE_DEVICES",
            if gpus.is_empty() {
                nothing_visible()
            } else {
                gpus.clone()
            },
        ),
        ("CUDA_VISIBLE_DEVICES", gpus),
    ];
    let mut all = BTreeMap::from([("PATH".to_owned(), PATH.to_owned())]);
    all.extend(grant.spec.env.clone());
    all.extend(ours.map(|(name, value)| (name.to_owned(), value)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use dovetail_model::{
        grant::{GpuGrant, Placement},
        id::{GpuUuid, NodeName, SliceId, WorkloadId},
        units::{Bytes, CpuMilli, GpuMilli},
        workload::{Owner, WorkloadSpec},
    };
    use std::sync::Arc;

    fn grant() -> Grant {
        let node = |name: &str| NodeName::new(name).unwrap();
        let slice = SliceId {
            workload: WorkloadId(12),
            attempt: 1,
            member: 1,
        };
        Grant {
            placement: Placement {
                slice,
                node: node("b"),
                cpu: CpuMilli(1),
                memory: Bytes(1),
                gpus: Vec::new(),
            },
            spec: Arc::new(WorkloadSpec {
                gang_size: 2,
                ..WorkloadSpec::example("train")
            }),
            owner: Owner {
                uid: 1,
                gid: 1,
                groups: Vec::new(),
            },
            gang_nodes: vec![node("a"), node("b")],
        }
    }

    #[test]
    fn a_member_learns_its_rank_and_where_the_first_one_is() {
        let environment = environment(&grant());
        for (name, value) in [
            ("RANK", "1"),
            ("WORLD_SIZE", "2"),
            ("MASTER_ADDR", "a"),
            ("MASTER_PORT", "20012"),
            ("DOVETAIL_GANG_NODES", "a,b"),
            ("DOVETAIL_SLICE", "w12-1-1"),
        ] {
            assert_eq!(environment[name], value, "{name}");
        }
    }

    #[test]
    fn without_a_gpu_none_is_visible() {
        let mut grant = grant();
        let bare = environment(&grant);
        assert_eq!(
            (
                bare["NVIDIA_VISIBLE_DEVICES"].as_str(),
                bare["CUDA_VISIBLE_DEVICES"].as_str()
            ),
            ("void", "")
        );
        grant.placement.gpus = ["GPU-1", "GPU-2"]
            .map(|uuid| GpuGrant {
                uuid: GpuUuid(uuid.into()),
                index: 0,
                compute: GpuMilli(1000),
                memory: Bytes(1),
            })
            .to_vec();
        assert_eq!(environment(&grant)["CUDA_VISIBLE_DEVICES"], "GPU-1,GPU-2");
    }

    #[test]
    fn what_dovetail_says_cannot_be_overruled_but_the_path_can() {
        let mut grant = grant();
        Arc::make_mut(&mut grant.spec).env = BTreeMap::from(
            [("RANK", "7"), ("PATH", "/opt")].map(|(k, v)| (k.to_owned(), v.to_owned())),
        );
        let environment = environment(&grant);
        assert_eq!(
            (environment["RANK"].as_str(), environment["PATH"].as_str()),
            ("1", "/opt")
        );
    }
}

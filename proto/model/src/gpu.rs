//! What a GPU is, and how a request names the models it takes.

use crate::{id::GpuUuid, resources::Level, units::Bytes};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A GPU as its node declares it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuInfo {
    /// The driver's identity.
    pub uuid: GpuUuid,
    /// The driver's index, from 0.
    pub index: u32,
    /// The driver's full name.
    pub name: String,
    /// Short model, made from the name and the memory.
    pub model: GpuModel,
    /// Memory that may be given to slices.
    pub memory: Bytes,
    /// Whether it can be used.
    pub health: GpuHealth,
    /// The strongest enforcement of a share on it.
    pub share_level: Level,
    /// The strongest enforcement of the whole GPU.
    pub whole_level: Level,
    /// PCI address.
    pub pci_bus_id: String,
}

/// Whether a GPU can be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum GpuHealth {
    /// It can.
    #[default]
    Ok,
    /// Fallen off the bus, or gone from the driver's list.
    Lost,
    /// The driver does not answer for it.
    Unresponsive,
}

impl fmt::Display for GpuHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Lost => "lost",
            Self::Unresponsive => "unresponsive",
        })
    }
}

/// Families of data-centre and workstation GPUs that a request may name before any node has one.
/// The longest match wins, so that `L40S` is not taken for an `L4`.
const FAMILIES: [&str; 33] = [
    "GB300",
    "GB200",
    "B300",
    "B200",
    "B100",
    "GH200",
    "H200",
    "H100",
    "H800",
    "H20",
    "A100",
    "A800",
    "A30",
    "A40",
    "A10G",
    "A10",
    "A16",
    "A2",
    "L40S",
    "L40",
    "L20",
    "L4",
    "L2",
    "T4",
    "V100",
    "P100",
    "P40",
    "P4",
    "G2",
    "G3",
    "RTX-PRO-6000",
    "RTX-6000",
    "RTX-4090",
];

/// Memory sizes of GPUs that are sold.
const SOLD_GB: [u64; 22] = [
    4, 6, 8, 11, 12, 16, 20, 24, 32, 40, 48, 64, 72, 80, 94, 96, 120, 141, 144, 180, 192, 288,
];

/// Short name of a model: family and memory in decimal-free GB, for example `H100-80`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GpuModel(String);

impl GpuModel {
    /// From the driver's name and memory.
    pub fn of(name: &str, memory: Bytes) -> Self {
        let gb = advertised_gb(name).unwrap_or_else(|| sold_as_gb(memory));
        Self(format!("{}-{gb}", family(name)))
    }

    /// Takes a short model as another program wrote it.
    pub fn from_short(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The family without the memory.
    pub fn family(&self) -> &str {
        self.0
            .rsplit_once('-')
            .map_or(self.0.as_str(), |(family, _)| family)
    }
}

impl fmt::Display for GpuModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `80` from `NVIDIA H100 80GB HBM3`.
fn advertised_gb(name: &str) -> Option<u64> {
    name.split([' ', '-'])
        .find_map(|word| word.strip_suffix("GB")?.parse().ok())
}

/// The size a device is sold as: the driver keeps some of it, so an L4 of 24 GB shows 22.5 GiB.
fn sold_as_gb(memory: Bytes) -> u64 {
    let gib = memory.0.div_ceil(1 << 30);
    let next = SOLD_GB.iter().copied().find(|size| *size >= gib);
    next.filter(|size| size - gib <= size / 8).unwrap_or(gib)
}

fn family(name: &str) -> String {
    let upper = name.to_ascii_uppercase().replace(' ', "-");
    let words: Vec<&str> = upper.split('-').collect();
    let known = FAMILIES.iter().find(|family| {
        words
            .windows(family.split('-').count())
            .any(|run| run.join("-") == **family)
    });
    known.map_or_else(
        || upper.trim_start_matches("NVIDIA-").to_owned(),
        |family| (*family).to_owned(),
    )
}

/// A model as a request names it: a family, a family with its memory, or the driver's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModelPattern(String);

impl ModelPattern {
    /// From what a person wrote.
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a GPU of this model and driver's name is meant.
    pub fn matches(&self, model: &GpuModel, name: &str) -> bool {
        let wanted = |text: &str| self.0.eq_ignore_ascii_case(text);
        wanted(model.family()) || wanted(model.as_str()) || wanted(name)
    }

    /// Whether anybody has ever heard of such a model, apart from what the cluster's nodes have.
    pub fn is_known_family(&self) -> bool {
        let upper = self.0.to_ascii_uppercase();
        let known = |text: &str| FAMILIES.contains(&text);
        let with_memory = upper
            .rsplit_once('-')
            .is_some_and(|(family, gb)| known(family) && gb.parse::<u32>().is_ok_and(|gb| gb > 0));
        known(&upper) || with_memory
    }
}

impl fmt::Display for ModelPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_short_and_stable() {
        let model = |name: &str, gib: u64| GpuModel::of(name, Bytes(gib << 30)).to_string();
        assert_eq!(model("NVIDIA H100 80GB HBM3", 80), "H100-80");
        assert_eq!(model("NVIDIA A100-SXM4-40GB", 40), "A100-40");
        assert_eq!(model("NVIDIA L4", 24), "L4-24");
        assert_eq!(model("NVIDIA L4", 23), "L4-24");
        assert_eq!(model("NVIDIA L40S", 45), "L40S-48");
        assert_eq!(model("NVIDIA B200", 179), "B200-180");
        assert_eq!(model("NVIDIA H200", 141), "H200-141");
        assert_eq!(model("Tesla T4", 16), "T4-16");
        assert_eq!(model("NVIDIA Future X", 13), "FUTURE-X-13");
    }

    #[test]
    fn patterns_name_families_models_and_full_names() {
        let model = GpuModel::of("NVIDIA H100 80GB HBM3", Bytes(80 << 30));
        for good in ["H100", "h100-80", "NVIDIA H100 80GB HBM3"] {
            assert!(
                ModelPattern::new(good).matches(&model, "NVIDIA H100 80GB HBM3"),
                "{good}"
            );
        }
        for bad in ["H10", "H100-94", "A100", ""] {
            assert!(
                !ModelPattern::new(bad).matches(&model, "NVIDIA H100 80GB HBM3"),
                "{bad}"
            );
        }
        assert!(ModelPattern::new("H100-94").is_known_family());
        assert!(!ModelPattern::new("H1000").is_known_family());
    }
}

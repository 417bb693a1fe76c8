//! What a pod asks for. Pods that ask for the same are one class.

/// Milli of a whole GPU.
pub const WHOLE: u16 = 1000;

/// A set of GPU models, one bit for each model that nodes have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Models(pub u64);

impl Models {
    /// Every model.
    pub const ANY: Self = Self(u64::MAX);

    /// Whether the model with this number is one of them.
    pub fn has(self, model: u8) -> bool {
        self.0 >> model & 1 == 1
    }
}

/// What one pod asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Demand {
    /// CPU in thousandths of a core.
    pub cpu_milli: u64,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// GPUs.
    pub gpus: u8,
    /// Thousandths of each of these GPUs; less than 1000 only if it is one.
    pub gpu_milli: u16,
    /// Models that will do.
    pub models: Models,
    /// Number of the text of the models among the sorted texts of the trace.
    pub spec: u16,
}

/// How failures are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No GPU.
    CpuOnly,
    /// A part of one GPU.
    Share,
    /// One whole GPU.
    Gpu1,
    /// Two.
    Gpu2,
    /// Three or four.
    Gpu4,
    /// Five or more.
    Gpu8,
}

impl Demand {
    /// GPU asked for in all, in thousandths.
    pub fn total_milli(&self) -> u64 {
        u64::from(self.gpus) * u64::from(self.gpu_milli)
    }

    /// Whether a part of one GPU is asked for.
    pub fn is_share(&self) -> bool {
        self.gpus == 1 && self.gpu_milli < WHOLE
    }

    /// How its failure is reported.
    pub fn kind(&self) -> Kind {
        match self.gpus {
            0 => Kind::CpuOnly,
            1 if self.is_share() => Kind::Share,
            1 => Kind::Gpu1,
            2 => Kind::Gpu2,
            3 | 4 => Kind::Gpu4,
            _ => Kind::Gpu8,
        }
    }
}

//! The type that products with weights compute in.

use serde::{Deserialize, Serialize};

/// The type that products with weights compute in. Sums, attention, norms and everything that is
/// trained stay in 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 32 bits.
    #[default]
    #[serde(alias = "float32")]
    F32,
    /// 16 bits with the range of 32: frozen weights are kept in it, and the rows that they
    /// multiply are rounded to it. Half the memory, and up to twice as fast on CPUs that have
    /// `vdpbf16ps`; others get the same bits.
    #[serde(alias = "bfloat16")]
    Bf16,
}

impl Dtype {
    /// Words of 32 bits that `k` values take.
    pub(crate) fn words(self, k: usize) -> usize {
        match self {
            Self::F32 => k,
            Self::Bf16 => k.div_ceil(2),
        }
    }
}

//! Large memory, in huge pages where the system has them.

use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

/// Bytes of a huge page, which a region may waste at most.
pub(crate) const HUGE_PAGE: usize = 2 << 20;

/// Zeroed floats straight from the system, on whole pages, which take memory as they are touched
/// and go back when dropped.
#[derive(Debug)]
pub(crate) struct Region(MmapMut);

impl Region {
    /// # Panics
    ///
    /// When the system has no such memory, as allocators do.
    pub(crate) fn zeros(len: usize) -> Self {
        let bytes = size_of::<f32>() * len.max(1);
        Self(MmapMut::map_anon(bytes).expect("the system gives memory"))
    }

    /// As [`Region::zeros`], in huge pages where it is as large as one and the system has them. A core knows
    /// by heart where some thousand pages lie; of 4 KB each these hold a few megabytes, and whoever
    /// reads hundreds in a row waits at each page.
    ///
    /// # Panics
    ///
    /// See there.
    pub(crate) fn huge(len: usize) -> Self {
        let region = Self::zeros(len);
        #[cfg(target_os = "linux")]
        if region.0.len() >= HUGE_PAGE {
            // A wish. Systems that cannot fulfil it refuse, and only speed differs.
            let _ = region.0.advise(memmap2::Advice::HugePage);
        }
        region
    }
}

impl Deref for Region {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        bytemuck::cast_slice(&self.0)
    }
}

impl DerefMut for Region {
    fn deref_mut(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(&mut self.0)
    }
}

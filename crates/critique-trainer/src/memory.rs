//! Resident memory of this process, as Linux counts it; 0 where the system does not say.

/// Bytes resident now.
pub fn resident() -> usize {
    status("VmRSS:")
}

/// Most bytes resident since the start, or since [`forget_peak`].
pub fn peak() -> usize {
    status("VmHWM:")
}

/// Lets [`peak`] begin anew from what is resident now, where the system allows it.
pub fn forget_peak() {
    // A system without it keeps counting from the start.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn status(name: &str) -> usize {
    let read = || {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find(|line| line.starts_with(name))?;
        let kib: usize = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(1024 * kib)
    };
    read().unwrap_or(0)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_large_buffer_shows_and_its_peak_can_be_forgotten() {
        let before = resident();
        let buffer = std::hint::black_box(vec![1u8; 64 << 20]);
        assert!(peak() >= before + (60 << 20));
        assert!(resident() >= before + (60 << 20));
        drop(buffer);
        forget_peak();
        assert!(peak() < before + (60 << 20));
    }
}

//! Does one more instance fit on the machine? (TOOL-8)
//!
//! Memory and disk are added up and must fit. Processors may be shared: requests may add up to
//! [`CPU_OVERCOMMIT`] times what the machine has, because a tool that waits for its next call
//! uses none.

use crate::resources::{Capacity, Resources};

/// How many times the machine's processors the requests may add up to.
pub const CPU_OVERCOMMIT: u64 = 4;

/// Memory kept for the system, Docker and the DTMA.
pub const RESERVED_MEMORY_BYTES: u64 = 256 << 20;

/// Why an instance was not admitted: what the machine would need, so that the caller can name
/// the size that would fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the machine has {}, but all tools together would need {}; use a larger machine or stop a tool",
    describe(.available),
    describe(.needed)
)]
pub struct DoesNotFit {
    /// What the machine has.
    pub available: Capacity,
    /// What it would need to have.
    pub needed: Capacity,
}

fn describe(capacity: &Capacity) -> String {
    format!(
        "{}.{:02} processors, {} MiB of memory and {} MiB of disk",
        capacity.cpu_millis / 1000,
        capacity.cpu_millis % 1000 / 10,
        capacity.memory_bytes >> 20,
        capacity.disk_bytes >> 20
    )
}

/// Checks `new` against a machine on which `present` are placed already.
///
/// # Errors
/// [`DoesNotFit`] with the smallest capacity that would do.
pub fn admit(
    machine: Capacity,
    present: impl IntoIterator<Item = Resources>,
    new: Resources,
) -> Result<(), DoesNotFit> {
    let mut cpu = u64::from(new.cpu_millis);
    let mut memory = RESERVED_MEMORY_BYTES.saturating_add(new.memory_bytes);
    let mut disk = new.disk_bytes;
    for placed in present {
        cpu = cpu.saturating_add(u64::from(placed.cpu_millis));
        memory = memory.saturating_add(placed.memory_bytes);
        disk = disk.saturating_add(placed.disk_bytes);
    }
    let needed = Capacity {
        cpu_millis: u32::try_from(cpu.div_ceil(CPU_OVERCOMMIT)).unwrap_or(u32::MAX),
        memory_bytes: memory,
        disk_bytes: disk,
    };
    let fits = needed.cpu_millis <= machine.cpu_millis
        && needed.memory_bytes <= machine.memory_bytes
        && needed.disk_bytes <= machine.disk_bytes;
    if fits {
        Ok(())
    } else {
        Err(DoesNotFit {
            available: machine,
            needed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const MACHINE: Capacity = Capacity {
        cpu_millis: 1000,
        memory_bytes: GIB,
        disk_bytes: 25 * GIB,
    };

    fn tool(cpu_millis: u32, memory_bytes: u64, disk_bytes: u64) -> Resources {
        Resources {
            cpu_millis,
            memory_bytes,
            pids: 256,
            disk_bytes,
        }
    }

    #[test]
    fn memory_adds_up_with_the_systems_share() {
        let placed = [tool(100, GIB / 4, 0), tool(100, GIB / 4, 0)];
        assert_eq!(admit(MACHINE, placed, tool(100, GIB / 4, 0)), Ok(()));
        let refused = admit(MACHINE, placed, tool(100, GIB / 4 + 1, 0)).unwrap_err();
        assert_eq!(refused.needed.memory_bytes, GIB + 1);
    }

    #[test]
    fn processors_may_be_shared_but_not_without_end() {
        assert_eq!(admit(MACHINE, [tool(3000, 0, 0)], tool(1000, 0, 0)), Ok(()));
        assert!(admit(MACHINE, [tool(3000, 0, 0)], tool(1004, 0, 0)).is_err());
    }

    #[test]
    fn disk_adds_up_and_nothing_overflows() {
        assert!(admit(MACHINE, [tool(0, 0, 20 * GIB)], tool(0, 0, 6 * GIB)).is_err());
        assert!(admit(MACHINE, [tool(u32::MAX, u64::MAX, u64::MAX)], tool(1, 1, 1)).is_err());
    }
}

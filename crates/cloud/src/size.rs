//! Sizes of machines, and whether one machine can become another (ENV-10).

/// The share of a size's memory that the kernel keeps for itself before anybody can count it:
/// Linux shows 961 MiB of 1 GiB and 1,967 MiB of 2 GiB.
const KERNEL_SHARE: u64 = 16;

/// A size that a provider offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineSize {
    /// The provider's name for it.
    pub name: String,
    /// Processors.
    pub vcpus: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// The disk in bytes that a new machine of this size gets.
    pub disk_bytes: u64,
    /// What a month costs, in US cents.
    pub monthly_price_cents: u32,
    /// Where it can be had now; nowhere if it can't be had at all.
    pub regions: Vec<String>,
}

impl MachineSize {
    /// The memory that a machine of this size will report.
    #[must_use]
    pub const fn usable_memory_bytes(&self) -> u64 {
        self.memory_bytes - self.memory_bytes / KERNEL_SHARE
    }

    /// Whether it can be had in a region.
    #[must_use]
    pub fn is_in(&self, region: &str) -> bool {
        self.regions.iter().any(|each| each == region)
    }

    /// Whether a machine can get this size.
    ///
    /// # Errors
    /// What is in the way, in a sentence that says what to do.
    pub fn fits(&self, machine: &Resizable<'_>) -> Result<(), SizeObstacle> {
        if machine.size == Some(self.name.as_str()) {
            return Err(SizeObstacle::Same);
        }
        if let Some(disk) = machine.disk_bytes
            && self.disk_bytes < disk
        {
            return Err(SizeObstacle::SmallerDisk {
                machine_gb: disk / GB,
                size_gb: self.disk_bytes / GB,
            });
        }
        match machine.region {
            Some(region) if !self.is_in(region) => Err(SizeObstacle::NotHere {
                region: region.to_owned(),
                elsewhere: self.regions.clone(),
            }),
            _ => Ok(()),
        }
    }
}

/// Providers sell disks in units of this many bytes.
pub const GB: u64 = 1 << 30;

/// What counts of a machine when its size is to change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resizable<'a> {
    /// The size that it has.
    pub size: Option<&'a str>,
    /// The disk that it has: that of the size it was made with.
    pub disk_bytes: Option<u64>,
    /// Where it is.
    pub region: Option<&'a str>,
}

/// Why a machine can't get a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizeObstacle {
    /// It has it.
    #[error("the machine has this size already")]
    Same,
    /// Its disk would have to shrink.
    #[error(
        "its disk has {size_gb} GB and the machine's has {machine_gb} GB: a disk can't shrink. \
         Choose a size with {machine_gb} GB or more, or turn the environment off (what tools \
         stored is lost) and on again with the smaller size"
    )]
    SmallerDisk {
        /// The machine's disk.
        machine_gb: u64,
        /// The size's disk.
        size_gb: u64,
    },
    /// It can't be had where the machine is.
    #[error("{}", not_here(.region, .elsewhere))]
    NotHere {
        /// Where the machine is.
        region: String,
        /// Where the size can be had.
        elsewhere: Vec<String>,
    },
}

fn not_here(region: &str, elsewhere: &[String]) -> String {
    if elsewhere.is_empty() {
        return "it can't be had anywhere now; choose another size".to_owned();
    }
    format!(
        "it can't be had in {region}, where the machine is (only in {}); choose another size",
        elsewhere.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(disk: u64, regions: &[&str]) -> MachineSize {
        MachineSize {
            name: "large".to_owned(),
            vcpus: 2,
            memory_bytes: 4 << 30,
            disk_bytes: disk * GB,
            monthly_price_cents: 2400,
            regions: regions.iter().map(|&region| region.to_owned()).collect(),
        }
    }

    #[test]
    fn what_is_in_the_way_is_named() {
        let machine = Resizable {
            size: Some("small"),
            disk_bytes: Some(50 * GB),
            region: Some("fra1"),
        };
        assert_eq!(size(50, &["fra1"]).fits(&machine), Ok(()));
        assert_eq!(size(80, &["fra1", "nyc1"]).fits(&machine), Ok(()));
        let said = |size: MachineSize| size.fits(&machine).unwrap_err().to_string();
        assert!(said(size(25, &["fra1"])).contains("a disk can't shrink"));
        assert!(said(size(80, &["nyc1"])).contains("only in nyc1"));
        assert!(said(size(80, &[])).contains("anywhere"));
        let same = Resizable {
            size: Some("large"),
            ..machine
        };
        assert_eq!(size(50, &["fra1"]).fits(&same), Err(SizeObstacle::Same));
    }

    #[test]
    fn what_the_kernel_keeps_is_not_promised() {
        let usable = size(50, &[]).usable_memory_bytes();
        assert!(usable < 4 << 30 && usable > 3 << 30);
    }
}

//! Sizes: those that the product offers, and some around them that can't be had everywhere, are
//! retired, or have a disk that does not fit.

use super::regions::{REGIONS, Region};
use crate::machines::Limits;

/// A size.
#[derive(Debug)]
pub(crate) struct Size {
    pub(crate) slug: &'static str,
    pub(crate) limits: Limits,
    /// Terabytes a month.
    pub(crate) transfer: f64,
    /// US dollars.
    pub(crate) price_monthly: f64,
    /// US dollars.
    pub(crate) price_hourly: f64,
    pub(crate) description: &'static str,
    pub(crate) available: bool,
    /// Open regions that don't have it.
    not_in: &'static [&'static str],
}

const fn basic(
    slug: &'static str,
    (vcpus, memory, disk): (u32, u32, u32),
    transfer: f64,
    price_monthly: f64,
    price_hourly: f64,
) -> Size {
    Size {
        slug,
        limits: Limits {
            vcpus,
            memory,
            disk,
        },
        transfer,
        price_monthly,
        price_hourly,
        description: "Basic",
        available: true,
        not_in: &[],
    }
}

/// All of them.
pub(crate) static SIZES: [Size; 9] = [
    Size {
        not_in: &["fra1", "syd1", "tor1"],
        ..basic("s-1vcpu-512mb-10gb", (1, 512, 10), 0.5, 4.0, 0.005_95)
    },
    basic("s-1vcpu-1gb", (1, 1024, 25), 1.0, 6.0, 0.008_93),
    basic("s-1vcpu-2gb", (1, 2048, 50), 2.0, 12.0, 0.017_86),
    basic("s-2vcpu-2gb", (2, 2048, 60), 3.0, 18.0, 0.026_79),
    basic("s-2vcpu-4gb", (2, 4096, 80), 4.0, 24.0, 0.035_71),
    basic("s-4vcpu-8gb", (4, 8192, 160), 5.0, 48.0, 0.071_43),
    Size {
        not_in: &["sfo2", "blr1"],
        ..basic("s-8vcpu-16gb", (8, 16_384, 320), 6.0, 96.0, 0.142_86)
    },
    Size {
        description: "CPU-Optimized",
        ..basic("c-2", (2, 4096, 25), 4.0, 42.0, 0.0625)
    },
    Size {
        available: false,
        ..basic("512mb", (1, 512, 20), 1.0, 5.0, 0.007_44)
    },
];

impl Size {
    pub(super) fn find(slug: &str) -> Option<&'static Self> {
        SIZES.iter().find(|size| size.slug == slug)
    }

    /// Whether new droplets of this size can be had in a region.
    pub(crate) fn is_in(&self, region: &Region) -> bool {
        self.available && region.available && !self.not_in.contains(&region.slug)
    }

    /// Where it can be had.
    pub(crate) fn regions(&self) -> impl Iterator<Item = &'static str> {
        REGIONS
            .iter()
            .filter(|region| self.is_in(region))
            .map(|region| region.slug)
    }
}

impl Region {
    /// What can be had here.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = &'static str> {
        SIZES
            .iter()
            .filter(|size| size.is_in(self))
            .map(|size| size.slug)
    }
}

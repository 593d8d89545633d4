//! Regions: a choice of DigitalOcean's, some of them closed to new droplets.

/// A region.
#[derive(Debug)]
pub(crate) struct Region {
    pub(crate) slug: &'static str,
    pub(crate) name: &'static str,
    /// Whether droplets can be made here.
    pub(crate) available: bool,
}

/// What every region offers, in DigitalOcean's words.
pub(crate) const FEATURES: [&str; 6] = [
    "backups",
    "ipv6",
    "metadata",
    "install_agent",
    "storage",
    "image_transfer",
];

const fn region(slug: &'static str, name: &'static str, available: bool) -> Region {
    Region {
        slug,
        name,
        available,
    }
}

/// All of them.
pub(crate) static REGIONS: [Region; 13] = [
    region("nyc1", "New York 1", true),
    region("nyc2", "New York 2", false),
    region("nyc3", "New York 3", true),
    region("ams2", "Amsterdam 2", false),
    region("ams3", "Amsterdam 3", true),
    region("sfo2", "San Francisco 2", true),
    region("sfo3", "San Francisco 3", true),
    region("sgp1", "Singapore 1", true),
    region("lon1", "London 1", true),
    region("fra1", "Frankfurt 1", true),
    region("tor1", "Toronto 1", true),
    region("blr1", "Bangalore 1", true),
    region("syd1", "Sydney 1", true),
];

impl Region {
    /// The region with this slug; for the beginning of one (`nyc`) the first that is open.
    pub(super) fn find(slug: &str) -> Option<&'static Self> {
        let exact = REGIONS.iter().find(|region| region.slug == slug);
        exact.or_else(|| {
            let prefix = slug.len() == 3;
            REGIONS
                .iter()
                .find(|region| prefix && region.available && region.slug.starts_with(slug))
        })
    }

    /// Where a droplet goes that does not care.
    pub(super) fn any() -> &'static Self {
        &REGIONS[0]
    }

    pub(crate) fn features(&self) -> [&'static str; 6] {
        FEATURES
    }
}

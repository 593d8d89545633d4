//! Sizes of droplets, and what they cost: `/v2/sizes`.

use serde::Deserialize;

use crate::client::{Call, Client};
use crate::envelope::{Resource, nullable};
use crate::page::Pages;

/// A size.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Size {
    /// Such as `s-1vcpu-2gb`.
    pub slug: String,
    /// RAM, MiB.
    pub memory: u64,
    /// Processors.
    pub vcpus: u32,
    /// Disk, GB.
    pub disk: u64,
    /// Traffic that the price includes, TB a month.
    #[serde(default)]
    pub transfer: f64,
    /// What a whole month costs, US dollars.
    pub price_monthly: f64,
    /// What an hour costs, US dollars; a month never costs more than [`Self::price_monthly`].
    pub price_hourly: f64,
    /// Where it can be made.
    #[serde(default, deserialize_with = "nullable")]
    pub regions: Vec<String>,
    /// Whether it can be made at all.
    #[serde(default = "available")]
    pub available: bool,
    /// Its family, such as `Basic`.
    #[serde(default)]
    pub description: String,
}

/// The contract's default.
fn available() -> bool {
    true
}

impl Size {
    /// Whether a droplet of this size can be made in a region.
    #[must_use]
    pub fn is_available_in(&self, region: &str) -> bool {
        self.available && self.regions.iter().any(|each| each == region)
    }
}

impl Resource for Size {
    const ONE: &'static str = "size";
    const MANY: &'static str = "sizes";
}

/// See [`Client::sizes`].
#[derive(Debug, Clone, Copy)]
pub struct SizesApi<'c>(pub(crate) &'c Client);

impl<'c> SizesApi<'c> {
    /// All sizes, those that can't be made now included.
    pub fn list(self) -> Pages<'c, Size> {
        Pages::new(self.0, Call::get("list sizes", ["sizes"]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_made_where_it_says_and_only_while_it_is_available() {
        let mut size: Size = serde_json::from_str(
            r#"{"slug":"s-1vcpu-1gb","memory":1024,"vcpus":1,"disk":25,"transfer":1.0,
                "price_monthly":6,"price_hourly":0.00893,"regions":["fra1"],"description":"Basic"}"#,
        )
        .unwrap();
        assert!(size.is_available_in("fra1") && !size.is_available_in("nyc1"));
        size.available = false;
        assert!(!size.is_available_in("fra1"));
    }
}

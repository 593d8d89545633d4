//! Regions: `/v2/regions`.

use serde::Deserialize;

use crate::client::{Call, Client};
use crate::envelope::{Resource, nullable};
use crate::page::Pages;

/// A region: one datacentre.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Region {
    /// Such as `fra1`.
    pub slug: String,
    /// Such as `Frankfurt 1`.
    pub name: String,
    /// Whether new droplets can be made there.
    pub available: bool,
    /// The sizes that can be made there.
    #[serde(default, deserialize_with = "nullable")]
    pub sizes: Vec<String>,
    /// What it can do, such as `metadata`.
    #[serde(default, deserialize_with = "nullable")]
    pub features: Vec<String>,
}

impl Resource for Region {
    const ONE: &'static str = "region";
    const MANY: &'static str = "regions";
}

/// See [`Client::regions`].
#[derive(Debug, Clone, Copy)]
pub struct RegionsApi<'c>(pub(crate) &'c Client);

impl<'c> RegionsApi<'c> {
    /// All regions, those without room included.
    pub fn list(self) -> Pages<'c, Region> {
        Pages::new(self.0, Call::get("list regions", ["regions"]))
    }
}

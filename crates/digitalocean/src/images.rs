//! Images that droplets are made from: `/v2/images`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::client::{Call, Client, Removal};
use crate::envelope::{Resource, nullable};
use crate::error::Error;
use crate::ids::ImageId;
use crate::input::TagName;
use crate::open_enum::open_enum;
use crate::page::Pages;

/// An image.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Image {
    /// Its id.
    pub id: ImageId,
    /// Such as `24.04 (LTS) x64`.
    pub name: String,
    /// Such as `ubuntu-24-04-x64`; public ones only.
    #[serde(default)]
    pub slug: Option<String>,
    /// Such as `Ubuntu`.
    #[serde(default)]
    pub distribution: Option<String>,
    /// Where it comes from.
    #[serde(default, rename = "type")]
    pub kind: Option<ImageKind>,
    /// Whether everybody can use it.
    #[serde(default)]
    pub public: bool,
    /// Where it can be used.
    #[serde(default, deserialize_with = "nullable")]
    pub regions: Vec<String>,
    /// Whether it can be used.
    #[serde(default)]
    pub status: Option<ImageStatus>,
    /// The smallest disk that it fits on, GB.
    #[serde(default)]
    pub min_disk_size: Option<u64>,
    /// What it takes itself, GB.
    #[serde(default)]
    pub size_gigabytes: Option<f64>,
    /// When it was made.
    #[serde(default)]
    pub created_at: Option<DateTime<Utc>>,
    /// Why importing it failed.
    #[serde(default)]
    pub error_message: Option<String>,
    /// Its tags.
    #[serde(default, deserialize_with = "nullable")]
    pub tags: Vec<String>,
}

impl Image {
    /// Whether a droplet can be made from it in a region.
    #[must_use]
    pub fn is_available_in(&self, region: &str) -> bool {
        let usable = matches!(self.status, None | Some(ImageStatus::Available));
        usable && self.regions.iter().any(|each| each == region)
    }
}

open_enum! {
    /// Where an image comes from.
    pub enum ImageKind {
        /// DigitalOcean.
        Base = "base",
        /// A droplet, on demand.
        Snapshot = "snapshot",
        /// A droplet, by the clock.
        Backup = "backup",
        /// Somewhere else.
        Custom = "custom",
        /// DigitalOcean, with one application on it.
        Admin = "admin",
    }
}

open_enum! {
    /// Whether an image can be used.
    pub enum ImageStatus {
        /// Being imported.
        New = "NEW",
        /// It can.
        Available = "available",
        /// Being worked on.
        Pending = "pending",
        /// No longer.
        Deleted = "deleted",
        /// By its id only.
        Retired = "retired",
    }
}

/// Which images a list has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ImageFilter {
    /// All that the account can use.
    #[default]
    All,
    /// Distributions.
    Distributions,
    /// Distributions with an application.
    Applications,
    /// The account's own.
    Private,
    /// Those with a tag.
    Tagged(TagName),
}

/// An image to be imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewImage {
    /// Its name.
    pub name: String,
    /// Where DigitalOcean fetches it.
    pub url: String,
    /// Where it is to be used.
    pub region: String,
    /// Such as `Ubuntu`; `Unknown` where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distribution: Option<String>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<TagName>,
}

/// What changes of an image; the rest stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ImageUpdate {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its distribution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distribution: Option<String>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

impl Resource for Image {
    const ONE: &'static str = "image";
    const MANY: &'static str = "images";
}

/// See [`Client::images`].
#[derive(Debug, Clone, Copy)]
pub struct ImagesApi<'c>(pub(crate) &'c Client);

impl<'c> ImagesApi<'c> {
    /// A public image by its slug, such as `ubuntu-24-04-x64`. Slugs are withdrawn with time: ask
    /// before a droplet is made.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn find_by_slug(self, slug: &str) -> Result<Option<Image>, Error> {
        self.0
            .find(&Call::get("read an image", ["images", slug]))
            .await
    }

    /// Any image.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get(self, id: ImageId) -> Result<Option<Image>, Error> {
        self.0.find(&Call::get("read an image", one(id))).await
    }

    /// Images.
    pub fn list(self, filter: &ImageFilter) -> Pages<'c, Image> {
        let call = Call::get("list images", ["images"]);
        let call = match filter {
            ImageFilter::All => call,
            ImageFilter::Distributions => call.query("type", "distribution"),
            ImageFilter::Applications => call.query("type", "application"),
            ImageFilter::Private => call.query("private", true),
            ImageFilter::Tagged(tag) => call.query("tag_name", tag),
        };
        Pages::new(self.0, call)
    }

    /// Begins to import an image.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn import(self, image: &NewImage) -> Result<Image, Error> {
        self.0
            .one(&Call::post("import an image", ["images"]).json(image)?)
            .await
    }

    /// Changes an image of the account.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn update(self, id: ImageId, update: &ImageUpdate) -> Result<Image, Error> {
        self.0
            .one(&Call::put("change an image", one(id)).json(update)?)
            .await
    }

    /// Deletes an image of the account; droplets made from it stay.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn delete(self, id: ImageId) -> Result<Removal, Error> {
        self.0
            .remove(&Call::delete("delete an image", one(id)))
            .await
    }
}

fn one(id: ImageId) -> [String; 2] {
    ["images".to_owned(), id.to_string()]
}

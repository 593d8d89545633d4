//! Tags, and what has them: `/v2/tags`.

use serde::{Deserialize, Serialize};

use crate::client::{Call, Client, Removal};
use crate::envelope::Resource;
use crate::error::Error;
use crate::ids::DropletId;
use crate::input::TagName;
use crate::open_enum::open_enum;
use crate::page::Pages;

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Tag {
    /// Its name, in the upper and lower case in which it was first made.
    pub name: String,
    /// What has it.
    #[serde(default)]
    pub resources: TaggedCounts,
}

/// How many things have a tag.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct TaggedCounts {
    /// In all.
    #[serde(default)]
    pub count: u64,
    /// Droplets among them.
    #[serde(default)]
    pub droplets: TaggedCount,
}

/// How many things of one kind have a tag.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct TaggedCount {
    /// So many.
    #[serde(default)]
    pub count: u64,
}

/// A thing that can have tags.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Taggable {
    /// Its id.
    pub resource_id: String,
    /// What it is.
    pub resource_type: TaggableKind,
}

impl Taggable {
    /// A droplet.
    #[must_use]
    pub fn droplet(id: DropletId) -> Self {
        Self {
            resource_id: id.to_string(),
            resource_type: TaggableKind::Droplet,
        }
    }
}

open_enum! {
    /// What can have tags.
    pub enum TaggableKind {
        /// A droplet.
        Droplet = "droplet",
        /// An image.
        Image = "image",
        /// A volume.
        Volume = "volume",
        /// A snapshot of a volume.
        VolumeSnapshot = "volume_snapshot",
    }
}

impl Resource for Tag {
    const ONE: &'static str = "tag";
    const MANY: &'static str = "tags";
}

/// See [`Client::tags`].
#[derive(Debug, Clone, Copy)]
pub struct TagsApi<'c>(pub(crate) &'c Client);

impl<'c> TagsApi<'c> {
    /// All tags of the account.
    pub fn list(self) -> Pages<'c, Tag> {
        Pages::new(self.0, Call::get("list tags", ["tags"]))
    }

    /// Makes a tag. Needed before a firewall names it; a droplet makes its tags itself.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create(self, tag: &TagName) -> Result<Tag, Error> {
        #[derive(Serialize)]
        struct NewTag<'a> {
            name: &'a TagName,
        }
        self.0
            .one(&Call::post("create a tag", ["tags"]).json(&NewTag { name: tag })?)
            .await
    }

    /// One tag.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get(self, tag: &TagName) -> Result<Option<Tag>, Error> {
        self.0
            .find(&Call::get("read a tag", ["tags", tag.as_str()]))
            .await
    }

    /// Deletes a tag and takes it off everything that has it.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn delete(self, tag: &TagName) -> Result<Removal, Error> {
        self.0
            .remove(&Call::delete("delete a tag", ["tags", tag.as_str()]))
            .await
    }

    /// Puts a tag, which has to exist, on things.
    ///
    /// # Errors
    /// "Not found" when the tag or one of the things does not exist.
    pub async fn tag(self, tag: &TagName, things: &[Taggable]) -> Result<(), Error> {
        let call = Call::post("tag resources", resources(tag)).repeatable();
        self.0
            .done(&call.json(&Things { resources: things })?)
            .await
    }

    /// Takes a tag off things.
    ///
    /// # Errors
    /// "Not found" when the tag or one of the things does not exist.
    pub async fn untag(self, tag: &TagName, things: &[Taggable]) -> Result<(), Error> {
        let call = Call::delete("untag resources", resources(tag));
        self.0
            .done(&call.json(&Things { resources: things })?)
            .await
    }
}

#[derive(Serialize)]
struct Things<'a> {
    resources: &'a [Taggable],
}

fn resources(tag: &TagName) -> [&str; 3] {
    ["tags", tag.as_str(), "resources"]
}

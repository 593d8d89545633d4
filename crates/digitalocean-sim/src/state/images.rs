//! Images: DigitalOcean's own, snapshots of droplets, and custom ones.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::State;
use super::agenda::Event;
use super::ids::ImageId;
use super::regions::{REGIONS, Region};
use crate::refusal::{Refusal, RefusalKind};

/// Ids of the public ones begin here, those of users far beyond.
const FIRST_PUBLIC: u64 = 155_133_621;
const FIRST_OWN: u64 = 180_000_000;

/// Distributions that a custom image can claim; anything else is `Unknown`.
const DISTRIBUTIONS: [&str; 13] = [
    "Arch Linux",
    "CentOS",
    "CoreOS",
    "Debian",
    "Fedora",
    "Fedora Atomic",
    "FreeBSD",
    "Gentoo",
    "openSUSE",
    "RancherOS",
    "Rocky Linux",
    "Ubuntu",
    "Unknown",
];

/// An image.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) id: ImageId,
    pub(crate) name: String,
    /// `base`, `snapshot` or `custom`.
    pub(crate) kind: &'static str,
    /// One of the marketplace's.
    pub(crate) application: bool,
    pub(crate) distribution: String,
    pub(crate) slug: Option<String>,
    pub(crate) regions: Vec<&'static str>,
    pub(crate) created_at: DateTime<Utc>,
    /// Gigabytes.
    pub(crate) min_disk: u32,
    pub(crate) size_gigabytes: f64,
    pub(crate) description: String,
    pub(crate) tags: Vec<String>,
    /// `NEW` or `available`.
    pub(crate) status: &'static str,
}

/// How an image is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ImageRef {
    Id(ImageId),
    /// Public ones only.
    Slug(String),
}

/// Which images.
#[derive(Debug, Clone, Default)]
pub(crate) struct ImageFilter {
    /// Marketplace (true) or distribution (false).
    pub(crate) application: Option<bool>,
    pub(crate) private: bool,
    pub(crate) tag: Option<String>,
}

/// A custom image that is wanted.
#[derive(Debug)]
pub(crate) struct NewImage {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) region: String,
    pub(crate) distribution: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) tags: Vec<String>,
}

/// What is to be changed about an image.
#[derive(Debug, Default)]
pub(crate) struct ImageChange {
    pub(crate) name: Option<String>,
    pub(crate) distribution: Option<String>,
    pub(crate) description: Option<String>,
}

/// All images.
#[derive(Debug)]
pub(crate) struct Images {
    by_id: BTreeMap<ImageId, Image>,
    last: u64,
}

impl Image {
    pub(crate) fn is_public(&self) -> bool {
        self.kind == "base"
    }

    pub(super) fn is_usable(&self) -> bool {
        self.status == "available"
    }

    pub(super) fn is_in(&self, region: &Region) -> bool {
        self.regions.contains(&region.slug)
    }
}

impl Default for Images {
    fn default() -> Self {
        let public =
            |id, name: &str, slug: &str, distribution: &str, min_disk, application| Image {
                id: ImageId(FIRST_PUBLIC + id),
                name: name.to_owned(),
                kind: "base",
                application,
                distribution: distribution.to_owned(),
                slug: Some(slug.to_owned()),
                regions: REGIONS.iter().map(|region| region.slug).collect(),
                created_at: DateTime::UNIX_EPOCH + chrono::TimeDelta::days(19_850),
                min_disk,
                size_gigabytes: 2.36,
                description: format!("{name} image"),
                tags: vec![],
                status: "available",
            };
        let images = [
            public(0, "24.04 (LTS) x64", "ubuntu-24-04-x64", "Ubuntu", 7, false),
            public(1, "22.04 (LTS) x64", "ubuntu-22-04-x64", "Ubuntu", 7, false),
            public(2, "12 x64", "debian-12-x64", "Debian", 7, false),
            public(
                3,
                "9 Stream x64",
                "centos-stream-9-x64",
                "CentOS",
                10,
                false,
            ),
            public(
                4,
                "Docker on Ubuntu 20.04",
                "docker-20-04",
                "Ubuntu",
                25,
                true,
            ),
        ];
        Self {
            by_id: images.into_iter().map(|image| (image.id, image)).collect(),
            last: FIRST_OWN,
        }
    }
}

impl Images {
    pub(crate) fn find(&self, image: &ImageRef) -> Option<&Image> {
        match image {
            ImageRef::Id(id) => self.by_id.get(id),
            ImageRef::Slug(slug) => self
                .by_id
                .values()
                .find(|image| image.slug.as_ref() == Some(slug)),
        }
    }

    pub(crate) fn list(&self, filter: &ImageFilter) -> Vec<&Image> {
        self.by_id
            .values()
            .filter(|image| {
                (filter.application)
                    .is_none_or(|wanted| image.is_public() && image.application == wanted)
                    && (!filter.private || !image.is_public())
                    && (filter.tag.as_ref()).is_none_or(|tag| image.tags.contains(tag))
            })
            .collect()
    }

    pub(super) fn add_snapshot(
        &mut self,
        of: &Image,
        name: &str,
        disk: u32,
        region: &'static Region,
        now: DateTime<Utc>,
    ) -> ImageId {
        self.last += 1;
        let id = ImageId(self.last);
        let image = Image {
            id,
            name: name.to_owned(),
            kind: "snapshot",
            application: false,
            slug: None,
            regions: vec![region.slug],
            created_at: now,
            min_disk: disk,
            description: String::new(),
            tags: vec![],
            ..of.clone()
        };
        self.by_id.insert(id, image);
        id
    }

    pub(super) fn ready(&mut self, id: ImageId) {
        if let Some(image) = self.by_id.get_mut(&id) {
            image.status = "available";
        }
    }

    /// Own images, for changing them.
    fn own_mut(&mut self, id: ImageId) -> Result<&mut Image, Refusal> {
        let image = self.by_id.get_mut(&id).ok_or_else(Refusal::not_found)?;
        if image.is_public() {
            return Err(Refusal::new(
                RefusalKind::Forbidden,
                "You can not change a public image.",
            ));
        }
        Ok(image)
    }

    /// # Errors
    /// 404 where there is none, 403 for a public one.
    pub(crate) fn change(&mut self, id: ImageId, change: ImageChange) -> Result<(), Refusal> {
        let image = self.own_mut(id)?;
        if let Some(name) = change.name {
            image.name = name;
        }
        if let Some(wanted) = change.distribution {
            image.distribution = distribution(Some(&wanted));
        }
        if let Some(description) = change.description {
            image.description = description;
        }
        Ok(())
    }

    /// # Errors
    /// 404 where there is none, 403 for a public one.
    pub(crate) fn remove(&mut self, id: ImageId) -> Result<(), Refusal> {
        self.own_mut(id)?;
        self.by_id.remove(&id);
        Ok(())
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Image> {
        self.by_id.values_mut()
    }

    /// Own images with a tag.
    pub(super) fn tagged(&self, tag: &str) -> impl Iterator<Item = &Image> {
        self.by_id
            .values()
            .filter(move |image| image.tags.iter().any(|own| own == tag))
    }
}

impl State {
    /// Begins to import a custom image.
    ///
    /// # Errors
    /// 422 where the wish is not right.
    pub(crate) fn add_image(
        &mut self,
        now: DateTime<Utc>,
        wish: &NewImage,
    ) -> Result<ImageId, Refusal> {
        if wish.name.is_empty() {
            return Err(Refusal::unprocessable("Name can't be blank"));
        }
        if !wish.url.starts_with("https://") && !wish.url.starts_with("http://") {
            return Err(Refusal::unprocessable("Url is not valid"));
        }
        let region = REGIONS
            .iter()
            .find(|region| region.slug == wish.region)
            .ok_or_else(|| Refusal::unprocessable("Region is not valid"))?;
        let tags = self.tags.canonical(&wish.tags)?;
        for tag in &tags {
            self.tags.ensure(tag);
        }
        self.images.last += 1;
        let id = ImageId(self.images.last);
        self.images.by_id.insert(
            id,
            Image {
                id,
                name: wish.name.clone(),
                kind: "custom",
                application: false,
                distribution: distribution(wish.distribution.as_deref()),
                slug: None,
                regions: vec![region.slug],
                created_at: now,
                min_disk: 15,
                size_gigabytes: 0.0,
                description: wish.description.clone().unwrap_or_default(),
                tags,
                status: "NEW",
            },
        );
        let takes = self.dice.within(self.settings.delays.image);
        self.agenda.put(now + takes, Event::ImageReady(id));
        Ok(id)
    }
}

fn distribution(wanted: Option<&str>) -> String {
    let known = DISTRIBUTIONS.iter().find(|known| Some(**known) == wanted);
    (*known.unwrap_or(&"Unknown")).to_owned()
}

//! Tags: names that droplets and images share. Case does not tell two apart, the first spelling stays.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::ids::{DropletId, ImageId};
use super::{Droplets, Images, State};
use crate::refusal::Refusal;

const LENGTH: usize = 255;

/// A tag.
#[derive(Debug, Clone)]
pub(crate) struct Tag {
    /// In its canonical spelling.
    pub(crate) name: String,
    last_droplet: Option<DropletId>,
    last_image: Option<ImageId>,
    /// Whether the last thing tagged was an image.
    image_last: bool,
}

/// Something that can be tagged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaggedResource {
    Droplet(DropletId),
    Image(ImageId),
    /// Of a kind that this simulator has none of.
    Absent,
}

/// What a tag is on, for `GET /v2/tags/{name}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TagUse {
    pub(crate) droplets: usize,
    pub(crate) last_droplet: Option<DropletId>,
    pub(crate) images: usize,
    pub(crate) last_image: Option<ImageId>,
    pub(crate) last: Option<TaggedResource>,
}

/// All tags, by their name in small letters.
#[derive(Debug, Default)]
pub(crate) struct Tags {
    by_key: BTreeMap<String, Tag>,
}

impl Tags {
    /// The tag with this name, spelled canonically: the API wants it so wherever a tag is used.
    pub(crate) fn find(&self, name: &str) -> Option<&Tag> {
        self.like(name).filter(|tag| tag.name == name)
    }

    fn like(&self, name: &str) -> Option<&Tag> {
        self.by_key.get(&name.to_ascii_lowercase())
    }

    /// All of them, by name.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Tag> {
        self.by_key.values()
    }

    /// Makes a tag, or finds it.
    ///
    /// # Errors
    /// 422 for a name with other characters than letters, digits, `_`, `-` and `:`.
    pub(crate) fn create(&mut self, name: &str) -> Result<&Tag, Refusal> {
        check(name)?;
        Ok(self.ensure(name))
    }

    pub(super) fn ensure(&mut self, name: &str) -> &Tag {
        self.by_key
            .entry(name.to_ascii_lowercase())
            .or_insert_with(|| Tag {
                name: name.to_owned(),
                last_droplet: None,
                last_image: None,
                image_last: false,
            })
    }

    /// These names as they are spelled canonically, each once.
    ///
    /// # Errors
    /// 422 for a name that no tag can have.
    pub(super) fn canonical(&self, names: &[String]) -> Result<Vec<String>, Refusal> {
        let mut canonical: Vec<String> = vec![];
        for name in names {
            check(name)?;
            if !canonical
                .iter()
                .any(|known| known.eq_ignore_ascii_case(name))
            {
                let known = self.like(name).map(|tag| tag.name.clone());
                canonical.push(known.unwrap_or_else(|| name.clone()));
            }
        }
        Ok(canonical)
    }

    pub(super) fn tagged_droplet(&mut self, name: &str, droplet: DropletId) {
        if let Some(tag) = self.by_key.get_mut(&name.to_ascii_lowercase()) {
            tag.last_droplet = Some(droplet);
            tag.image_last = false;
        }
    }

    fn tagged_image(&mut self, name: &str, image: ImageId) {
        if let Some(tag) = self.by_key.get_mut(&name.to_ascii_lowercase()) {
            tag.last_image = Some(image);
            tag.image_last = true;
        }
    }
}

impl Tag {
    pub(crate) fn usage(&self, droplets: &Droplets, images: &Images) -> TagUse {
        let on_droplets = droplets.existing().filter(|d| d.tags.contains(&self.name));
        let (on_droplets, on_images) = (on_droplets.count(), images.tagged(&self.name).count());
        let last_droplet = self.last_droplet.filter(|_| on_droplets > 0);
        let last_image = self.last_image.filter(|_| on_images > 0);
        let (droplet, image) = (
            last_droplet.map(TaggedResource::Droplet),
            last_image.map(TaggedResource::Image),
        );
        TagUse {
            droplets: on_droplets,
            last_droplet,
            images: on_images,
            last_image,
            last: if self.image_last {
                image.or(droplet)
            } else {
                droplet.or(image)
            },
        }
    }
}

fn check(name: &str) -> Result<(), Refusal> {
    let right = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b':');
    if name.is_empty() {
        Err(Refusal::unprocessable("Tag name can't be blank"))
    } else if name.len() > LENGTH {
        Err(Refusal::unprocessable(format!(
            "Tag name is too long (maximum is {LENGTH} characters)"
        )))
    } else if name.bytes().all(right) {
        Ok(())
    } else {
        Err(Refusal::unprocessable(
            "Tag name may only contain letters, numbers, colons, dashes and underscores",
        ))
    }
}

impl State {
    /// Tags resources (or takes the tag off them).
    ///
    /// # Errors
    /// 404 where the tag or one of the resources is missing; nothing was changed then.
    pub(crate) fn tag_resources(
        &mut self,
        now: DateTime<Utc>,
        tag: &str,
        resources: &[TaggedResource],
        on: bool,
    ) -> Result<(), Refusal> {
        let name = self
            .tags
            .find(tag)
            .ok_or_else(Refusal::not_found)?
            .name
            .clone();
        let missing = |resource: &TaggedResource| match resource {
            TaggedResource::Droplet(id) => self.droplets.get(*id).is_none(),
            TaggedResource::Image(id) => {
                let image = self.images.find(&super::ImageRef::Id(*id));
                image.is_none_or(super::Image::is_public)
            }
            TaggedResource::Absent => true,
        };
        if resources.iter().any(missing) {
            return Err(Refusal::not_found());
        }
        for resource in resources {
            self.tag_one(&name, *resource, on);
        }
        self.stir_firewalls(now);
        Ok(())
    }

    fn tag_one(&mut self, name: &str, resource: TaggedResource, on: bool) {
        let tags = match resource {
            TaggedResource::Droplet(id) => self.droplets.get_mut(id).map(|d| &mut d.tags),
            TaggedResource::Image(id) => self
                .images
                .all_mut()
                .find(|image| image.id == id)
                .map(|image| &mut image.tags),
            TaggedResource::Absent => None,
        };
        let Some(tags) = tags else { return };
        tags.retain(|own| own != name);
        if !on {
            return;
        }
        tags.push(name.to_owned());
        match resource {
            TaggedResource::Droplet(id) => self.tags.tagged_droplet(name, id),
            TaggedResource::Image(id) => self.tags.tagged_image(name, id),
            TaggedResource::Absent => {}
        }
    }

    /// Removes a tag from everything that has it, and then itself.
    ///
    /// # Errors
    /// 404 where there is none.
    pub(crate) fn delete_tag(&mut self, now: DateTime<Utc>, name: &str) -> Result<(), Refusal> {
        let tag = self.tags.find(name).ok_or_else(Refusal::not_found)?.clone();
        self.tags.by_key.remove(&name.to_ascii_lowercase());
        for droplet in self.droplets.existing_mut() {
            droplet.tags.retain(|own| *own != tag.name);
        }
        for image in self.images.all_mut() {
            image.tags.retain(|own| *own != tag.name);
        }
        self.firewalls.remove_tag(&tag.name);
        self.stir_firewalls(now);
        Ok(())
    }
}

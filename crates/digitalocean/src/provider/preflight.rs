//! Whether a droplet can be made as wished, asked before it is: DigitalOcean's refusals don't always
//! say which of region, size, image and key is wrong, and never what would be right.

use agentopia_cloud::{MachineRequest, ProviderError};

use super::DigitalOceanProvider;
use super::trouble::trouble;
use crate::droplets::ImageRef;
use crate::images::Image;
use crate::keys::{Key, KeyRef};
use crate::regions::Region;
use crate::sizes::Size;
use crate::{Client, Error, ImageId, KeyId};

/// Where and from what a droplet is made; each part is known to exist.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) region: String,
    pub(super) size: String,
    pub(super) image: ImageRef,
    pub(super) keys: Vec<KeyRef>,
}

impl DigitalOceanProvider {
    pub(super) async fn preflight(&self, request: &MachineRequest) -> Result<Place, ProviderError> {
        let settings = &self.settings;
        let region = request.region.as_ref().or(settings.region.as_ref());
        let region = region.cloned().ok_or_else(|| {
            wrong("no region is chosen: set DO_DEFAULT_REGION, or choose one for the environment")
        })?;
        let size = request.size.as_ref().or(settings.size.as_ref());
        let size = size.cloned().ok_or_else(|| {
            wrong("no size is chosen: set DO_DEFAULT_SIZE, or choose one for the environment")
        })?;
        let image = request.image.as_ref().unwrap_or(&settings.image);
        self.check_region(&region).await?;
        self.check_size(&size, &region).await?;
        let image = self.check_image(image, &region).await?;
        let mut keys = Vec::new();
        for key in &settings.ssh_keys {
            keys.push(self.check_key(key).await?);
        }
        Ok(Place {
            region,
            size,
            image,
            keys,
        })
    }

    async fn check_region(&self, region: &str) -> Result<(), ProviderError> {
        let all = self.api.regions().list().all().await.map_err(trouble)?;
        open_region(&all, region).map_err(wrong)
    }

    async fn check_size(&self, size: &str, region: &str) -> Result<(), ProviderError> {
        let all = self.api.sizes().list().all().await.map_err(trouble)?;
        fitting_size(&all, size, region).map_err(wrong)
    }

    async fn check_image(&self, image: &str, region: &str) -> Result<ImageRef, ProviderError> {
        let found = find_image(&self.api, image).await.map_err(trouble)?;
        fitting_image(image, found.as_ref(), region).map_err(wrong)?;
        Ok(image_ref(image))
    }

    async fn check_key(&self, key: &str) -> Result<KeyRef, ProviderError> {
        let reference = key_ref(key);
        let found = self.api.keys().get(&reference).await.map_err(trouble)?;
        known_key(key, found.as_ref()).map_err(wrong)?;
        Ok(reference)
    }
}

pub(super) async fn find_image(api: &Client, image: &str) -> Result<Option<Image>, Error> {
    match image_ref(image) {
        ImageRef::Id(id) => api.images().get(id).await,
        ImageRef::Slug(slug) => api.images().find_by_slug(&slug).await,
    }
}

/// A number is that of an own image, anything else a public one's slug.
fn image_ref(image: &str) -> ImageRef {
    match image.parse() {
        Ok(number) => ImageRef::Id(ImageId(number)),
        Err(_) => ImageRef::Slug(image.to_owned()),
    }
}

pub(super) fn key_ref(key: &str) -> KeyRef {
    match key.parse() {
        Ok(number) => KeyRef::Id(KeyId(number)),
        Err(_) => KeyRef::Fingerprint(key.to_owned()),
    }
}

/// Whether droplets can be made in a region now; else what is wrong and what would be right.
pub(super) fn open_region(all: &[Region], region: &str) -> Result<(), String> {
    if all.iter().any(|each| each.slug == region && each.available) {
        return Ok(());
    }
    let open = all.iter().filter(|each| each.available);
    let open: Vec<&str> = open.map(|each| each.slug.as_str()).collect();
    let what = if all.iter().any(|each| each.slug == region) {
        "takes no new droplets now"
    } else {
        "does not exist"
    };
    Err(format!(
        "the region {region:?} {what}; choose one of {}",
        open.join(", ")
    ))
}

/// The same for a size in a region.
pub(super) fn fitting_size(all: &[Size], size: &str, region: &str) -> Result<(), String> {
    let Some(found) = all.iter().find(|each| each.slug == size) else {
        let here = all.iter().filter(|each| each.is_available_in(region));
        let mut here: Vec<_> = here.collect();
        here.sort_by(|one, other| one.price_monthly.total_cmp(&other.price_monthly));
        let cheapest: Vec<&str> = here.iter().take(5).map(|each| each.slug.as_str()).collect();
        return Err(format!(
            "the size {size:?} does not exist; the cheapest in {region} are {}",
            cheapest.join(", ")
        ));
    };
    if found.is_available_in(region) {
        return Ok(());
    }
    if !found.available || found.regions.is_empty() {
        return Err(format!(
            "the size {size:?} can't be had anywhere now; choose another one"
        ));
    }
    Err(format!(
        "the size {size:?} can't be had in {region}; choose another size, or one of the regions {}",
        found.regions.join(", ")
    ))
}

/// The same for an image in a region.
pub(super) fn fitting_image(
    image: &str,
    found: Option<&Image>,
    region: &str,
) -> Result<(), String> {
    match found {
        None => Err(format!(
            "the image {image:?} does not exist (any more); choose another one, such as \
             ubuntu-24-04-x64"
        )),
        Some(found) if !found.is_available_in(region) => Err(format!(
            "the image {image:?} can't be used in {region}; choose another image, or transfer it \
             to that region"
        )),
        Some(_) => Ok(()),
    }
}

/// The same for an SSH key.
pub(super) fn known_key(key: &str, found: Option<&Key>) -> Result<(), String> {
    match found {
        Some(_) => Ok(()),
        None => Err(format!(
            "the account has no SSH key {key:?}; add it in DigitalOcean's control panel \
             (Settings, Security), or take it out of DO_SSH_KEY_FINGERPRINTS"
        )),
    }
}

fn wrong(sentence: impl Into<String>) -> ProviderError {
    ProviderError::Final(sentence.into())
}

//! Whether a droplet can be made as wished, asked before it is: DigitalOcean's refusals don't always
//! say which of region, size, image and key is wrong, and never what would be right.

use agentopia_cloud::{MachineRequest, ProviderError};

use super::DigitalOceanProvider;
use super::trouble::trouble;
use crate::droplets::ImageRef;
use crate::keys::KeyRef;
use crate::{ImageId, KeyId};

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
        Err(wrong(format!(
            "the region {region:?} {what}; choose one of {}",
            open.join(", ")
        )))
    }

    async fn check_size(&self, size: &str, region: &str) -> Result<(), ProviderError> {
        let all = self.api.sizes().list().all().await.map_err(trouble)?;
        let Some(found) = all.iter().find(|each| each.slug == size) else {
            let here = all.iter().filter(|each| each.is_available_in(region));
            let mut here: Vec<_> = here.collect();
            here.sort_by(|one, other| one.price_monthly.total_cmp(&other.price_monthly));
            let cheapest: Vec<&str> = here.iter().take(5).map(|each| each.slug.as_str()).collect();
            return Err(wrong(format!(
                "the size {size:?} does not exist; the cheapest in {region} are {}",
                cheapest.join(", ")
            )));
        };
        if found.is_available_in(region) {
            return Ok(());
        }
        if !found.available || found.regions.is_empty() {
            return Err(wrong(format!(
                "the size {size:?} can't be had anywhere now; choose another one"
            )));
        }
        Err(wrong(format!(
            "the size {size:?} can't be had in {region}; choose another size, or one of the \
             regions {}",
            found.regions.join(", ")
        )))
    }

    async fn check_image(&self, image: &str, region: &str) -> Result<ImageRef, ProviderError> {
        let images = self.api.images();
        let (reference, found) = match image.parse() {
            Ok(number) => {
                let id = ImageId(number);
                (ImageRef::Id(id), images.get(id).await)
            }
            Err(_) => {
                let slug = image.to_owned();
                (ImageRef::Slug(slug), images.find_by_slug(image).await)
            }
        };
        let found = found.map_err(trouble)?.ok_or_else(|| {
            wrong(format!(
                "the image {image:?} does not exist (any more); choose another one, such as \
                 ubuntu-24-04-x64"
            ))
        })?;
        if !found.is_available_in(region) {
            return Err(wrong(format!(
                "the image {image:?} can't be used in {region}; choose another image, or transfer \
                 it to that region"
            )));
        }
        Ok(reference)
    }

    async fn check_key(&self, key: &str) -> Result<KeyRef, ProviderError> {
        let reference = match key.parse() {
            Ok(number) => KeyRef::Id(KeyId(number)),
            Err(_) => KeyRef::Fingerprint(key.to_owned()),
        };
        match self.api.keys().get(&reference).await.map_err(trouble)? {
            Some(_) => Ok(reference),
            None => Err(wrong(format!(
                "the account has no SSH key {key:?}; add it in DigitalOcean's control panel \
                 (Settings, Security), or take it out of DO_SSH_KEY_FINGERPRINTS"
            ))),
        }
    }
}

fn wrong(sentence: impl Into<String>) -> ProviderError {
    ProviderError::Final(sentence.into())
}

//! What is taken away of packages: what builds that were cut off left, images that nobody uses any more, and in the
//! end everything.

use std::collections::BTreeSet;
use std::time::Duration;

use agentopia_domain::spec::InstanceSpec;
use bollard::models::ImageSummary;
use bollard::query_parameters::{
    ListContainersOptions, ListImagesOptions, ListNetworksOptions, RemoveImageOptions,
    RemoveVolumeOptions,
};

use super::super::{DockerRuntime, engine, names};
use super::{body, build};
use crate::runtime::RuntimeError;

/// So many unused images stay, the newest, for whoever deploys the same tool again or goes back to it …
const KEPT: usize = 4;
/// … for so long after they were made.
const AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Which of the images nobody uses and nobody is to keep. `now` as the engine counts: seconds since 1970.
fn surplus<'a>(
    images: &'a [ImageSummary],
    used: &BTreeSet<String>,
    now: i64,
) -> Vec<&'a ImageSummary> {
    let mut unused: Vec<_> = images.iter().filter(|it| !used.contains(&it.id)).collect();
    unused.sort_by_key(|image| std::cmp::Reverse(image.created));
    let oldest = now - i64::try_from(AGE.as_secs()).unwrap_or(i64::MAX);
    let mut kept = 0;
    unused.retain(|image| {
        // One without a name is what is left of a build that was cut off.
        let stays = kept < KEPT && image.created > oldest && !image.repo_tags.is_empty();
        kept += usize::from(stays);
        !stays
    });
    unused
}

impl DockerRuntime {
    /// Removes containers and networks of builds that were cut off. None of this process may be under way.
    pub(in super::super) async fn clear_builds(&self) -> Result<(), RuntimeError> {
        let failed = |error| engine::failed("looking for builds that were cut off", &error);
        let filters = Some(names::filter(self.environment));
        let all = ListContainersOptions {
            all: true,
            filters: filters.clone(),
            ..ListContainersOptions::default()
        };
        let (containers, networks) = tokio::try_join!(
            self.docker.list_containers(Some(all)),
            self.docker
                .list_networks(Some(ListNetworksOptions { filters })),
        )
        .map_err(failed)?;
        let containers = containers.into_iter().flat_map(|container| {
            let labels = container.labels;
            let names = container.names.unwrap_or_default().into_iter();
            names.map(move |name| (name, labels.clone()))
        });
        let networks = networks
            .into_iter()
            .filter_map(|network| Some((network.name?, network.labels)));
        let names: BTreeSet<String> = containers
            .chain(networks)
            .filter(|(name, labels)| body::is_build(name, labels.as_ref(), self.environment))
            .map(|(name, _)| name.trim_start_matches('/').to_owned())
            .collect();
        for name in names {
            tracing::info!(name, "removing what is left of a build that was cut off");
            build::clear(&self.docker, &name).await?;
        }
        Ok(())
    }

    /// Removes images of packages that no spec of `keep` needs: all of them, or those beyond what is kept for
    /// later. Returns the bytes won.
    pub(in super::super) async fn remove_unused_builds(
        &self,
        keep: &[InstanceSpec],
        all: bool,
    ) -> Result<u64, RuntimeError> {
        let images = self.built_images().await?;
        if images.is_empty() {
            return Ok(0);
        }
        let mut used = BTreeSet::new();
        for spec in keep.iter().filter(|spec| spec.package.is_some()) {
            used.extend(self.image_of(spec).await?.and_then(|image| image.id));
        }
        let now = self.context.ambient.now().timestamp();
        let gone = match all {
            true => images.iter().filter(|it| !used.contains(&it.id)).collect(),
            false => surplus(&images, &used, now),
        };
        let mut won = 0;
        for image in gone {
            if self.remove_built(&image.id).await? {
                won += u64::try_from(image.size).unwrap_or(0);
            }
        }
        Ok(won)
    }

    /// Removes the cache that builds share, unless one uses it now.
    pub(in super::super) async fn remove_package_cache(&self) -> Result<(), RuntimeError> {
        let name = body::cache(self.environment);
        let options = RemoveVolumeOptions { force: false };
        match self.docker.remove_volume(&name, Some(options)).await {
            Err(error) if !matches!(engine::status(&error), Some(404 | 409)) => {
                Err(engine::failed("removing the cache of packages", &error))
            }
            _ => Ok(()),
        }
    }

    /// Removes everything that packages left on the machine. No instance may be there any more.
    pub(in super::super) async fn purge_packages(&self) -> Result<(), RuntimeError> {
        self.clear_builds().await?;
        self.remove_unused_builds(&[], true).await?;
        self.remove_package_cache().await
    }

    async fn built_images(&self) -> Result<Vec<ImageSummary>, RuntimeError> {
        let options = ListImagesOptions {
            filters: Some(names::filter(self.environment)),
            ..ListImagesOptions::default()
        };
        self.docker
            .list_images(Some(options))
            .await
            .map_err(|error| engine::failed("listing images of packages", &error))
    }

    /// Whether it is gone. One that a container uses stays.
    async fn remove_built(&self, id: &str) -> Result<bool, RuntimeError> {
        let options = RemoveImageOptions {
            force: false,
            ..RemoveImageOptions::default()
        };
        match self.docker.remove_image(id, Some(options), None).await {
            Ok(_) => {
                tracing::info!(
                    image = id,
                    "removed the image of a package that no tool needs"
                );
                Ok(true)
            }
            Err(error) if matches!(engine::status(&error), Some(404 | 409)) => Ok(false),
            Err(error) => Err(engine::failed("removing the image of a package", &error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(id: &str, created: i64, is_named: bool) -> ImageSummary {
        ImageSummary {
            id: id.to_owned(),
            created,
            repo_tags: is_named.then(|| "a:b".to_owned()).into_iter().collect(),
            ..ImageSummary::default()
        }
    }

    #[test]
    fn the_newest_of_the_unused_stay_for_a_week_and_the_used_for_ever() {
        let day = 24 * 3600;
        let now = 100 * day;
        let images = [
            image("used and old", 0, true),
            image("a", now - day, true),
            image("b", now - 2 * day, true),
            image("c", now - 3 * day, true),
            image("cut off", now - 3 * day, false),
            image("d", now - 4 * day, true),
            image("one too many", now - 5 * day, true),
            image("old", now - 8 * day, true),
        ];
        let used = BTreeSet::from(["used and old".to_owned()]);
        let gone: Vec<&str> = surplus(&images, &used, now)
            .into_iter()
            .map(|image| image.id.as_str())
            .collect();
        assert_eq!(gone, ["cut off", "one too many", "old"]);
        let gone = surplus(&images[7..], &used, now);
        assert_eq!(gone.len(), 1, "old ones go even where there are few");
    }
}

//! Images of packages (npm, PyPI), made on this machine (TOOL-2).
//!
//! An image's tag is a hash of all that goes in ([`recipe::key`]), so that it is made once and found again by whoever
//! needs it: two instances that need the same at once wait for one build. A build is a container on the base image
//! that installs the package and is committed ([`build`]); one that was cut off leaves nothing but a container, a
//! network and perhaps an image without a name, all found by their labels ([`tidy`]).
//!
//! Where to look next: [`recipe`] says what is run, [`body`] how it is confined, [`told`] what its words mean.

mod archive;
mod body;
mod build;
mod network;
mod recipe;
mod tidy;
mod told;

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use agentopia_domain::observed::Phase;
use agentopia_domain::package_build::PackageBuild;
use agentopia_domain::spec::{ImageRef, InstanceSpec};
use agentopia_dtma_api::to_control_plane::RegistryLogin;
use bollard::models::ImageInspect;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::DockerRuntime;
use crate::runtime::{Prepared, Progress, RuntimeError};

/// Builds at the same time: each takes most of a small machine.
const AT_ONCE: usize = 2;

/// Whose turn it is to make which image.
#[derive(Debug)]
pub(super) struct Builds {
    turns: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
    room: Semaphore,
}

impl Default for Builds {
    fn default() -> Self {
        Self {
            turns: Mutex::default(),
            room: Semaphore::new(AT_ONCE),
        }
    }
}

impl Builds {
    fn turn(&self, key: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock();
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(key).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::default();
        turns.insert(key.to_owned(), Arc::downgrade(&turn));
        turn
    }
}

/// How the image of a package is called.
fn reference(environment: agentopia_domain::EnvironmentId, key: String) -> ImageRef {
    ImageRef {
        repository: body::repository(environment),
        tag: Some(key),
        digest: None,
    }
}

/// What people should know if a tool of this image does not come up.
pub(super) fn note(image: &ImageInspect) -> Option<String> {
    let labels = image.config.as_ref()?.labels.as_ref()?;
    let scripted = labels.get(body::LABEL_SCRIPTS)?;
    let most = 5;
    let names: Vec<&str> = scripted.split(' ').take(most).collect();
    let more = match scripted.split(' ').count().saturating_sub(most) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!(
        "the install scripts of {}{more} were left out: if that is what it misses, allow `install_scripts` in the \
         `package` of the catalog entry's version",
        names.join(", ")
    ))
}

impl DockerRuntime {
    /// The image that the spec's containers are made from, if the engine has it.
    pub(super) async fn image_of(
        &self,
        spec: &InstanceSpec,
    ) -> Result<Option<ImageInspect>, RuntimeError> {
        let image = self.local_image(&spec.image()).await?;
        let (Some(package), Some(base)) = (&spec.package, &image) else {
            return Ok(image);
        };
        let key = recipe::key(package, base.id.as_deref().unwrap_or_default());
        self.local_image(&reference(self.environment, key)).await
    }

    /// Makes sure that the engine has the image of `spec`: pulled, or made of its package.
    pub(super) async fn ensure_image_of(
        &self,
        spec: &InstanceSpec,
        login: Option<&RegistryLogin>,
        progress: &Progress,
    ) -> Result<(Prepared, ImageInspect), RuntimeError> {
        let image = self.ensure_image(&spec.image(), login, progress).await?;
        match &spec.package {
            None => Ok(image),
            Some(package) => self.ensure_built(spec, package, &image.1, progress).await,
        }
    }

    async fn ensure_built(
        &self,
        spec: &InstanceSpec,
        package: &PackageBuild,
        base: &ImageInspect,
        progress: &Progress,
    ) -> Result<(Prepared, ImageInspect), RuntimeError> {
        let key = recipe::key(package, base.id.as_deref().unwrap_or_default());
        let image = reference(self.environment, key.clone());
        if self.local_image(&image).await?.is_some() {
            return self.ensure_image(&image, None, progress).await;
        }
        let turn = self.builds.turn(&key);
        let turn = match Arc::clone(&turn).try_lock_owned() {
            Ok(turn) => turn,
            Err(_) => {
                let title = package.title();
                progress.report(
                    Phase::Pulling,
                    format!("waiting for the image of {title}, which is being made"),
                );
                turn.lock_owned().await
            }
        };
        if self.local_image(&image).await?.is_none() {
            let _room = self.builds.room.acquire().await;
            let base_name = spec.program.image.reference();
            self.build(package, (base, &base_name), &key, turn, progress)
                .await?;
        }
        self.ensure_image(&image, None, progress).await
    }
}

#[cfg(test)]
mod tests {
    use agentopia_domain::catalog::package::PackageRegistry;
    use agentopia_domain::package_build::BuildLimits;

    use super::*;

    pub(super) fn package(registry: PackageRegistry, name: &str, version: &str) -> PackageBuild {
        PackageBuild {
            registry,
            name: name.to_owned(),
            version: version.to_owned(),
            program: None,
            integrity: None,
            install_scripts: false,
            index: None,
            ca: None,
            limits: BuildLimits::default(),
        }
    }

    #[test]
    fn what_was_left_out_is_told_in_a_few_words() {
        let image = |scripted: Option<&str>| ImageInspect {
            config: Some(bollard::models::ImageConfig {
                labels: scripted
                    .map(|names| [(body::LABEL_SCRIPTS.to_owned(), names.to_owned())].into()),
                ..Default::default()
            }),
            ..ImageInspect::default()
        };
        assert_eq!(note(&image(None)), None);
        let told = note(&image(Some("esbuild sharp"))).unwrap();
        assert!(told.contains("of esbuild, sharp were"), "{told}");
        let told = note(&image(Some("a b c d e f g"))).unwrap();
        assert!(told.contains("a, b, c, d, e and 2 more"), "{told}");
    }

    #[tokio::test]
    async fn of_one_image_there_is_one_build_at_a_time_and_turns_are_forgotten() {
        let builds = Builds::default();
        let held = builds.turn("a").lock_owned().await;
        assert!(builds.turn("a").try_lock_owned().is_err());
        assert!(builds.turn("b").try_lock_owned().is_ok());
        drop(held);
        assert!(builds.turn("a").try_lock_owned().is_ok());
        drop(builds.turn("c"));
        assert_eq!(builds.turns.lock().len(), 1);
    }
}

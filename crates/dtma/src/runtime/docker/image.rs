//! Images: present by digest, or pulled with a login, with progress and errors that say what to do.

use std::collections::HashMap;
use std::time::Duration;

use agentopia_domain::observed::Phase;
use agentopia_domain::spec::ImageRef;
use agentopia_dtma_api::to_control_plane::RegistryLogin;
use bollard::auth::DockerCredentials;
use bollard::errors::Error;
use bollard::models::{CreateImageInfo, ImageConfig, ImageInspect};
use bollard::query_parameters::CreateImageOptions;
use futures::StreamExt as _;
use parking_lot::Mutex;
use secrecy::ExposeSecret as _;
use tokio::time::{Instant, timeout};

use super::{DockerRuntime, engine, package};
use crate::runtime::{ErrorCode, Prepared, Progress, RuntimeError};

/// A pull that says nothing for so long has hung.
const SILENCE: Duration = Duration::from_secs(120);
/// How often people are told how far a pull is.
const REPORT_EVERY: Duration = Duration::from_millis(500);

/// So many configurations are kept.
const CONFIGS: usize = 64;

/// Configurations of images that were prepared. An image id is a hash of what it names, so that
/// what is kept under it is right for ever; it just says nothing about the image being there.
#[derive(Debug, Default)]
pub(super) struct ImageConfigs(Mutex<HashMap<String, ImageConfig>>);

impl ImageConfigs {
    pub(super) fn get(&self, id: &str) -> Option<ImageConfig> {
        self.0.lock().get(id).cloned()
    }

    pub(super) fn keep(&self, id: &str, config: ImageConfig) {
        let mut kept = self.0.lock();
        if kept.len() >= CONFIGS {
            kept.clear();
        }
        kept.insert(id.to_owned(), config);
    }
}

impl DockerRuntime {
    /// The image, if the engine has it.
    pub(super) async fn local_image(
        &self,
        image: &ImageRef,
    ) -> Result<Option<ImageInspect>, RuntimeError> {
        let doing = "looking for the image";
        let found = self.docker.inspect_image(&image.reference()).await;
        match (engine::found(doing, found)?, &image.digest) {
            (Some(found), _) => Ok(Some(found)),
            // An image that was built here is in no registry, and known by its id alone.
            (None, Some(digest)) => {
                let found = engine::found(doing, self.docker.inspect_image(digest).await)?;
                Ok(found.filter(|it| it.id.as_ref() == Some(digest)))
            }
            (None, None) => Ok(None),
        }
    }

    /// Makes sure that the engine has the image, and that it can run here.
    pub(super) async fn ensure_image(
        &self,
        image: &ImageRef,
        login: Option<&RegistryLogin>,
        progress: &Progress,
    ) -> Result<(Prepared, ImageInspect), RuntimeError> {
        let inspected = match self.local_image(image).await? {
            Some(inspected) => inspected,
            None => {
                self.pull(image, login, progress).await?;
                let inspected = self.local_image(image).await?.ok_or_else(|| {
                    RuntimeError::new(
                        ErrorCode::EngineFailed,
                        format!("{} was pulled, and then was not there", image.reference()),
                    )
                })?;
                self.pulled.remember(&image.reference())?;
                inspected
            }
        };
        check_platform(image, &inspected)?;
        let prepared = Prepared {
            target: inspected.id.clone().unwrap_or_default(),
            image_digest: digest(image, &inspected),
            note: package::note(&inspected),
        };
        Ok((prepared, inspected))
    }

    async fn pull(
        &self,
        image: &ImageRef,
        login: Option<&RegistryLogin>,
        progress: &Progress,
    ) -> Result<(), RuntimeError> {
        let reference = image.reference();
        progress.report(Phase::Pulling, format!("pulling {reference}"));
        let options = CreateImageOptions {
            from_image: Some(image.repository.clone()),
            tag: Some(
                image
                    .digest
                    .clone()
                    .or_else(|| image.tag.clone())
                    .unwrap_or_else(|| "latest".into()),
            ),
            ..CreateImageOptions::default()
        };
        let credentials = login.map(|login| DockerCredentials {
            username: Some(login.username.clone()),
            password: Some(login.password.expose_secret().to_owned()),
            serveraddress: image.registry().map(str::to_owned),
            ..DockerCredentials::default()
        });
        let with_login = credentials.is_some();
        let mut messages =
            std::pin::pin!(self.docker.create_image(Some(options), None, credentials));
        let mut layers = Layers::default();
        let mut reported = Instant::now();
        loop {
            let message = match timeout(SILENCE, messages.next()).await {
                Ok(Some(Ok(message))) => message,
                Ok(Some(Err(error))) => return Err(classify(image, with_login, &error)),
                Ok(None) => return Ok(()),
                Err(_) => {
                    return Err(RuntimeError::new(
                        ErrorCode::RegistryUnreachable,
                        format!(
                            "pulling {reference}: nothing came from the registry for {} seconds",
                            SILENCE.as_secs()
                        ),
                    ));
                }
            };
            layers.note(&message);
            if reported.elapsed() >= REPORT_EVERY {
                reported = Instant::now();
                progress.report(Phase::Pulling, format!("pulling {reference}: {layers}"));
            }
        }
    }
}

/// The digest that the registry knows the image by; an image that was built here has none, and is
/// named by its id.
fn digest(image: &ImageRef, inspected: &ImageInspect) -> Option<String> {
    let of_repository = inspected.repo_digests.iter().flatten().find_map(|entry| {
        let (repository, digest) = entry.split_once('@')?;
        (repository == image.repository).then(|| digest.to_owned())
    });
    image
        .digest
        .clone()
        .or(of_repository)
        .or_else(|| inspected.id.clone())
}

/// The engine's name for the architecture that this program was built for.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn check_platform(image: &ImageRef, inspected: &ImageInspect) -> Result<(), RuntimeError> {
    let os = inspected.os.as_deref().unwrap_or("linux");
    let made_for = inspected
        .architecture
        .as_deref()
        .filter(|name| !name.is_empty());
    if os == "linux" && made_for.is_none_or(|name| name == architecture()) {
        return Ok(());
    }
    Err(RuntimeError::new(
        ErrorCode::ImageUnusable,
        format!(
            "{} is made for {os}/{}, this machine is linux/{}: use an image for it",
            image.reference(),
            made_for.unwrap_or("unknown"),
            architecture()
        ),
    ))
}

/// What a failed pull means for the person who deploys. The engine passes the registry's words
/// on and gives most of them the status 500, so the words decide.
fn classify(image: &ImageRef, with_login: bool, error: &Error) -> RuntimeError {
    let words = engine::words(error);
    let reference = image.reference();
    let registry = image.registry().unwrap_or("the default registry");
    if !matches!(
        error,
        Error::DockerResponseServerError { .. } | Error::DockerStreamError { .. }
    ) {
        return engine::failed("pulling the image", error);
    }
    let (code, sentence) = match classify_words(&words) {
        ErrorCode::DiskFull => return engine::failed("pulling the image", error),
        ErrorCode::ImageNotFound => (
            ErrorCode::ImageNotFound,
            format!("{registry} has no {reference}: check repository, tag and digest"),
        ),
        ErrorCode::RegistryUnauthorised if with_login => (
            ErrorCode::RegistryUnauthorised,
            format!(
                "{registry} refuses the stored login for {reference}: update user name and password"
            ),
        ),
        ErrorCode::RegistryUnauthorised => (
            ErrorCode::RegistryUnauthorised,
            format!(
                "{registry} wants a login for {reference}: store one, or check the repository's name"
            ),
        ),
        ErrorCode::ImageUnusable => (
            ErrorCode::ImageUnusable,
            format!(
                "{reference} is not made for linux/{}: use an image for it",
                architecture()
            ),
        ),
        ErrorCode::RegistryUnreachable => (
            ErrorCode::RegistryUnreachable,
            format!("{registry} does not answer the machine properly; it is tried again"),
        ),
        other => (other, format!("pulling {reference} failed")),
    };
    RuntimeError::new(code, format!("{sentence} ({words})"))
}

fn classify_words(words: &str) -> ErrorCode {
    let words = words.to_ascii_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
    if engine::is_disk_full(&words) {
        ErrorCode::DiskFull
    } else if has(&[
        "no matching manifest",
        "does not match the specified platform",
    ]) {
        ErrorCode::ImageUnusable
    } else if has(&[
        "unauthorized",
        "no basic auth credentials",
        "access denied",
        "denied:",
        "authentication required",
        "incorrect username or password",
        "403 forbidden",
    ]) {
        ErrorCode::RegistryUnauthorised
    } else if has(&[
        "manifest unknown",
        "name unknown",
        "not found",
        "repository name not known",
        "invalid reference",
    ]) {
        ErrorCode::ImageNotFound
    } else if has(&[
        "dial tcp",
        "connection re",
        "i/o timeout",
        "no such host",
        "tls",
        "x509",
        "eof",
        "http response to https client",
        "deadline exceeded",
        "timeout",
        "toomanyrequests",
        "unexpected http status",
        "status: 5",
        "service unavailable",
        "bad gateway",
        "server misbehaving",
        "network is unreachable",
        "no route to host",
    ]) {
        ErrorCode::RegistryUnreachable
    } else {
        ErrorCode::EngineFailed
    }
}

/// How far a pull is.
#[derive(Debug, Default)]
struct Layers(HashMap<String, Layer>);

#[derive(Debug, Default, Clone, Copy)]
struct Layer {
    done: bool,
    current: i64,
    total: i64,
}

impl Layers {
    fn note(&mut self, message: &CreateImageInfo) {
        let (Some(id), Some(status)) = (&message.id, &message.status) else {
            return;
        };
        if status.starts_with("Pulling from") {
            return;
        }
        let layer = self.0.entry(id.clone()).or_default();
        if status == "Downloading"
            && let Some(detail) = &message.progress_detail
        {
            layer.current = detail.current.unwrap_or(layer.current);
            layer.total = detail.total.unwrap_or(layer.total);
        }
        layer.done |= status == "Pull complete" || status == "Already exists";
        if status == "Download complete" {
            layer.current = layer.total;
        }
    }
}

impl std::fmt::Display for Layers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let done = self.0.values().filter(|layer| layer.done).count();
        let current: i64 = self.0.values().map(|layer| layer.current).sum();
        let total: i64 = self.0.values().map(|layer| layer.total).sum();
        write!(f, "{done} of {} layers", self.0.len())?;
        if total > 0 {
            let tenths = |bytes: i64| (bytes / 100_000, 10);
            let ((current, ten), (total, _)) = (tenths(current), tenths(total));
            write!(
                f,
                ", {}.{} of {}.{} MB",
                current / ten,
                current % ten,
                total / ten,
                total % ten
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::ProgressDetail;

    #[test]
    fn the_registrys_words_are_understood() {
        for (words, code) in [
            (
                "manifest for 127.0.0.1:5000/a:b not found: manifest unknown: manifest unknown",
                ErrorCode::ImageNotFound,
            ),
            (
                "Head \"http://127.0.0.1:5000/v2/a/manifests/b\": no basic auth credentials",
                ErrorCode::RegistryUnauthorised,
            ),
            (
                "unauthorized: authentication required",
                ErrorCode::RegistryUnauthorised,
            ),
            (
                "pull access denied for x, repository does not exist or may require 'docker login'",
                ErrorCode::RegistryUnauthorised,
            ),
            (
                "Get \"https://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
                ErrorCode::RegistryUnreachable,
            ),
            (
                "Get \"https://r.test/v2/\": x509: certificate signed by unknown authority",
                ErrorCode::RegistryUnreachable,
            ),
            (
                "received unexpected HTTP status: 503 Service Unavailable",
                ErrorCode::RegistryUnreachable,
            ),
            (
                "no matching manifest for linux/amd64 in the manifest list entries",
                ErrorCode::ImageUnusable,
            ),
            (
                "write /var/lib/docker/tmp/x: no space left on device",
                ErrorCode::DiskFull,
            ),
            ("something new", ErrorCode::EngineFailed),
        ] {
            assert_eq!(classify_words(words), code, "{words}");
        }
    }

    #[test]
    fn configurations_are_kept_by_id_and_their_number_is_bounded() {
        let configs = ImageConfigs::default();
        for number in 0..=CONFIGS {
            let config = ImageConfig {
                cmd: Some(vec![number.to_string()]),
                ..ImageConfig::default()
            };
            configs.keep(&format!("sha256:{number}"), config);
        }
        let last = configs.get(&format!("sha256:{CONFIGS}")).unwrap();
        assert_eq!(last.cmd, Some(vec![CONFIGS.to_string()]));
        assert_eq!(configs.get("sha256:0"), None);
    }

    #[test]
    fn people_see_how_far_a_pull_is() {
        let mut layers = Layers::default();
        let mut note = |id: &str, status: &str, current, total| {
            layers.note(&CreateImageInfo {
                id: Some(id.into()),
                status: Some(status.into()),
                progress_detail: Some(ProgressDetail { current, total }),
                ..CreateImageInfo::default()
            });
        };
        note("1.0", "Pulling from agentopia/echo", None, None);
        note("a", "Downloading", Some(1_500_000), Some(2_000_000));
        note("b", "Already exists", None, None);
        assert_eq!(layers.to_string(), "1 of 2 layers, 1.5 of 2.0 MB");
    }

    #[test]
    fn the_digest_is_that_of_the_repository_asked_for() {
        let image = ImageRef {
            repository: "r/b".into(),
            tag: Some("1".into()),
            digest: None,
        };
        let mut inspected = ImageInspect {
            id: Some("sha256:id".into()),
            repo_digests: Some(vec!["r/a@sha256:a".into(), "r/b@sha256:b".into()]),
            ..ImageInspect::default()
        };
        assert_eq!(digest(&image, &inspected).as_deref(), Some("sha256:b"));
        inspected.repo_digests = None;
        assert_eq!(digest(&image, &inspected).as_deref(), Some("sha256:id"));
    }
}

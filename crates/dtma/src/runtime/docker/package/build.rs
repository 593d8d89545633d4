//! One build, from an empty container to an image with a name. What it needs is cleared away at its end, however
//! it ends: by us, in the background where whoever wanted it changed their mind, or by the next start of the DTMA.

use std::path::Path;
use std::time::Duration;

use agentopia_domain::EnvironmentId;
use agentopia_domain::observed::Phase;
use agentopia_domain::package_build::PackageBuild;
use bollard::Docker;
use bollard::models::{ImageInspect, VolumeCreateRequest};
use bollard::query_parameters::{
    CommitContainerOptions, CreateContainerOptions, InspectContainerOptions, LogsOptions,
    RemoveContainerOptions, UploadToContainerOptions,
};
use futures::StreamExt as _;
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::super::volume::own;
use super::super::{DockerRuntime, engine};
use super::told::{Output, Told};
use super::{body, recipe};
use crate::runtime::{ErrorCode, Progress, RuntimeError};

/// How often people are told how far it is.
const REPORT_EVERY: Duration = Duration::from_millis(500);
/// How often its size is looked at.
const MEASURE_EVERY: Duration = Duration::from_secs(2);
/// A larger cache is dropped as soon as no build uses it.
const CACHE_MOST_MIB: u64 = 2048;
/// How often it is tried to clear a build away, and the pause between two tries: the engine refuses what it is
/// just making or removing itself, and does not tell when it has ended.
const CLEAR_TRIES: u32 = 40;
const CLEAR_PAUSE: Duration = Duration::from_millis(250);
/// The `PATH` of an image that names none.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Removes container and network of a build, which may just be beginning or ending. Nothing to remove is success.
pub(super) async fn clear(docker: &Docker, name: &str) -> Result<(), RuntimeError> {
    let mut tries = CLEAR_TRIES;
    loop {
        tries -= 1;
        match try_clear(docker, name).await {
            Err(error) if tries > 0 && error.code == ErrorCode::EngineFailed => {
                tracing::debug!(%error, name, "clearing a build away once more");
                sleep(CLEAR_PAUSE).await;
            }
            cleared => return cleared,
        }
    }
}

async fn try_clear(docker: &Docker, name: &str) -> Result<(), RuntimeError> {
    let doing = "clearing a build away";
    let options = RemoveContainerOptions {
        force: true,
        v: true,
        link: false,
    };
    engine::found(doing, docker.remove_container(name, Some(options)).await)?;
    engine::found(doing, docker.remove_network(name).await)?;
    Ok(())
}

impl DockerRuntime {
    /// Makes the image of `package` on `base`, which people know by the name beside it. The work is a task of its
    /// own: nothing that the engine was asked for is left half-way when this is dropped. The task then ends what it
    /// began, clears it away, and only then gives up its turn.
    pub(super) async fn build(
        &self,
        package: &PackageBuild,
        (base, base_name): (&ImageInspect, &str),
        key: &str,
        turn: OwnedMutexGuard<()>,
        progress: &Progress,
    ) -> Result<(), RuntimeError> {
        let began = Instant::now();
        let title = package.title();
        progress.report(Phase::Pulling, format!("installing {title}"));
        let builder = Builder {
            docker: self.docker.clone(),
            environment: self.environment,
            package: package.clone(),
            base: base.clone(),
            base_name: base_name.to_owned(),
            name: body::name(self.environment, key),
            key: key.to_owned(),
            progress: progress.clone(),
            stop: CancellationToken::new(),
        };
        let _unwanted = builder.stop.clone().drop_guard();
        let task = tokio::spawn(async move {
            let made = builder.run().await;
            drop(turn);
            made
        });
        let told = task.await.map_err(|error| {
            RuntimeError::new(ErrorCode::Io, format!("installing {title}: {error}"))
        })??;
        if told.cache_mib > CACHE_MOST_MIB {
            self.remove_package_cache().await?;
        }
        tracing::info!(
            package = title,
            key,
            program = told.program,
            lock = told.lock,
            scripts_left_out = ?told.scripted,
            seconds = began.elapsed().as_secs(),
            "made an image of a package"
        );
        Ok(())
    }
}

/// One build.
pub(super) struct Builder {
    pub(super) docker: Docker,
    pub(super) environment: EnvironmentId,
    package: PackageBuild,
    base: ImageInspect,
    base_name: String,
    key: String,
    /// Of its container and of its network.
    pub(super) name: String,
    progress: Progress,
    /// Nobody wants it any more.
    stop: CancellationToken,
}

impl Builder {
    async fn run(&self) -> Result<Told, RuntimeError> {
        // What an earlier try that was cut off may have left.
        clear(&self.docker, &self.name).await?;
        let made = match self.install().await {
            Ok(told) => self.commit(&told).await.map(|()| told),
            Err(error) => Err(error),
        };
        if let Err(error) = clear(&self.docker, &self.name).await {
            tracing::warn!(%error, name = self.name, "what is left of a build is removed later");
        }
        made
    }

    async fn install(&self) -> Result<Told, RuntimeError> {
        let (package, name) = (&self.package, self.name.as_str());
        let failed = |error| engine::failed("making the container of a build", &error);
        if recipe::has_shared_cache(package) {
            self.ensure_cache().await?;
        }
        self.make_network().await?;
        let base_id = self.base.id.as_deref().unwrap_or_default();
        let options = CreateContainerOptions {
            name: Some(name.to_owned()),
            ..CreateContainerOptions::default()
        };
        let container = body::container(package, base_id, name, self.environment);
        self.docker
            .create_container(Some(options), container)
            .await
            .map_err(failed)?;
        let upload = UploadToContainerOptions {
            path: "/".to_owned(),
            ..UploadToContainerOptions::default()
        };
        let files = bollard::body_full(recipe::files(package).into());
        self.docker
            .upload_to_container(name, Some(upload), files)
            .await
            .map_err(failed)?;
        if let Err(error) = self.docker.start_container(name, None).await {
            return Err(match engine::words(&error).contains("executable file") {
                true => RuntimeError::new(
                    ErrorCode::PackageUnusable,
                    format!(
                        "the base image {} has no shell: the operator has to set another one",
                        self.base_name
                    ),
                ),
                false => engine::failed("starting a build", &error),
            });
        }
        let mut output = Output::default();
        let limits = package.limits;
        let over = |what: String| {
            let title = package.title();
            (ErrorCode::BuildFailed, format!("installing {title} {what}"))
        };
        let (code, sentence) = tokio::select! {
            ended = timeout(
                Duration::from_secs(limits.seconds.into()),
                self.follow(&mut output),
            ) => match ended {
                Ok(ended) => match ended? {
                    Ended::Well => return output.made(package),
                    Ended::Badly => return Err(output.failure(package, &self.base_name)),
                    Ended::OutOfMemory => over(format!(
                        "needed more than its {} MiB of memory: the operator may allow more (`packages.build_memory_mib`)",
                        limits.memory_bytes >> 20
                    )),
                },
                Err(_) => over(format!(
                    "took longer than {} seconds: the operator may allow more (`packages.build_seconds`)",
                    limits.seconds
                )),
            },
            () = self.stop.cancelled() => over("was broken off, because nobody wants it any more".to_owned()),
            () = self.outgrows(limits.size_bytes) => over(format!(
                "needs more than {} MiB on the disk: the operator may allow more (`packages.build_size_mib`)",
                limits.size_bytes >> 20
            )),
        };
        Err(RuntimeError::new(
            code,
            format!("{sentence}{}", output.last_words()),
        ))
    }

    /// Reads what the build says until it ends.
    async fn follow(&self, output: &mut Output) -> Result<Ended, RuntimeError> {
        let (package, name) = (&self.package, self.name.as_str());
        let failed = |error| engine::failed("following a build", &error);
        let options = LogsOptions {
            follow: true,
            stdout: true,
            stderr: true,
            tail: "all".to_owned(),
            ..LogsOptions::default()
        };
        let mut pieces = std::pin::pin!(self.docker.logs(name, Some(options)));
        let mut reported = None::<Instant>;
        while let Some(piece) = pieces.next().await {
            let line = output.take(&piece.map_err(failed)?.into_bytes());
            if let Some(line) = line
                && reported.is_none_or(|at| at.elapsed() >= REPORT_EVERY)
            {
                reported = Some(Instant::now());
                let title = package.title();
                let message = format!("installing {title}: {line}");
                self.progress.report(Phase::Pulling, message);
            }
        }
        loop {
            let container = self.docker.inspect_container(name, None).await;
            let state = container.map_err(failed)?.state.unwrap_or_default();
            // The last line can be read a moment before the end is known.
            if state.running == Some(true) {
                sleep(Duration::from_millis(20)).await;
                continue;
            }
            return Ok(match (state.exit_code, state.oom_killed) {
                (Some(0), _) => Ended::Well,
                (_, Some(true)) => Ended::OutOfMemory,
                _ => Ended::Badly,
            });
        }
    }

    /// Completes when the container has grown by more than `most`.
    async fn outgrows(&self, most: u64) {
        loop {
            sleep(MEASURE_EVERY).await;
            let options = InspectContainerOptions { size: true };
            let seen = self
                .docker
                .inspect_container(&self.name, Some(options))
                .await;
            let size = seen.ok().and_then(|container| container.size_rw);
            if size.is_some_and(|size| u64::try_from(size).is_ok_and(|size| size > most)) {
                return;
            }
        }
    }

    async fn commit(&self, told: &Told) -> Result<(), RuntimeError> {
        let environment = self
            .base
            .config
            .as_ref()
            .and_then(|config| config.env.as_ref());
        let mut entries = environment.into_iter().flatten();
        let path = entries.find_map(|entry| entry.strip_prefix("PATH="));
        let config = body::image(
            &self.package,
            told,
            path.unwrap_or(USUAL_PATH),
            self.environment,
        );
        let options = CommitContainerOptions {
            container: Some(self.name.clone()),
            repo: Some(body::repository(self.environment)),
            tag: Some(self.key.clone()),
            comment: Some(self.package.title()),
            pause: false,
            ..CommitContainerOptions::default()
        };
        self.docker
            .commit_container(options, config)
            .await
            .map_err(|error| engine::failed("keeping the image of a package", &error))?;
        Ok(())
    }

    /// The cache that builds share, which belongs to their user.
    async fn ensure_cache(&self) -> Result<(), RuntimeError> {
        let request = VolumeCreateRequest {
            name: Some(body::cache(self.environment)),
            labels: Some(body::labels(self.environment)),
            ..VolumeCreateRequest::default()
        };
        // One that is there stays as it is.
        let volume = self
            .docker
            .create_volume(request)
            .await
            .map_err(|error| engine::failed("making the cache of packages", &error))?;
        own_cache(self.environment, volume.mountpoint).await
    }
}

/// How a build's process ended.
enum Ended {
    Well,
    Badly,
    OutOfMemory,
}

async fn own_cache(environment: EnvironmentId, mountpoint: String) -> Result<(), RuntimeError> {
    let owned =
        tokio::task::spawn_blocking(move || own(Path::new(&mountpoint), recipe::BUILDER)).await;
    let doing = format!("giving the cache of packages of {environment} to its builds");
    match owned {
        Ok(result) => result.map_err(|error| RuntimeError::io(&doing, &error)),
        Err(error) => Err(RuntimeError::new(
            ErrorCode::Io,
            format!("{doing}: {error}"),
        )),
    }
}

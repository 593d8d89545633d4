//! From an offer to a program that is ready for its trial: fetched, compared, and asked whether it
//! can run here.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use agentopia_dtma_api::to_control_plane::{ControlPlaneClient, DtmaOffer, ProgramOffer};
use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use super::programs::{DTMA, OWN, Programs, TOOL_INIT, copy_own, digest};
use super::state::Program;
use crate::disk::DiskGuard;

/// How long fetching one program may take: on a slow line, too.
const FETCH_LIMIT: Duration = Duration::from_secs(900);
/// How long the control plane may send nothing.
const STALL_LIMIT: Duration = Duration::from_secs(60);
/// How long a program may take to say that it can run here.
const CHECK_LIMIT: Duration = Duration::from_secs(30);
/// The most that a program may have.
const MAX_BYTES: u64 = 512 << 20;
/// The most of what a program says that is passed on.
const MAX_SAID: usize = 300;

/// Why a program is not ready.
#[derive(Debug)]
pub(super) enum NotReady {
    /// It could not be fetched or stored: may work later.
    Later(String),
    /// It is what was offered, and can't run here.
    Never(Program, String),
}

/// What preparing needs.
#[derive(Debug)]
pub(super) struct Preparation<'a> {
    pub(super) client: ControlPlaneClient,
    pub(super) programs: &'a Programs,
    pub(super) disk: &'a DiskGuard,
    pub(super) config_file: Option<&'a Path>,
}

impl Preparation<'_> {
    /// Fetches what is offered, unless it is here already, and has it checked.
    pub(super) async fn program(&self, offer: &DtmaOffer) -> Result<Program, NotReady> {
        let later = |error: anyhow::Error| NotReady::Later(format!("{error:#}"));
        let sha256 = &offer.dtma.sha256;
        if !self.is_here(sha256).await.map_err(later)? {
            self.fetch(offer).await.map_err(later)?;
        }
        let program = |version| Program {
            sha256: sha256.clone(),
            version,
        };
        let path = self.programs.path(sha256, DTMA);
        match check(&path, self.config_file).await.map_err(later)? {
            Ok(version) => Ok(program(version)),
            Err(reason) => Err(NotReady::Never(program(String::new()), reason)),
        }
    }

    /// Keeps the program that runs, as what a trial falls back to.
    pub(super) async fn keep_own(&self, sha256: &str) -> anyhow::Result<()> {
        if self.is_here(sha256).await? {
            return Ok(());
        }
        let (programs, expected) = (self.programs.clone(), sha256.to_owned());
        blocking(move || {
            let unfinished = programs.begin(&expected)?;
            let found = copy_own(unfinished.file(DTMA)?)?;
            anyhow::ensure!(found == expected, "the running program is not what it was");
            Ok(unfinished.finish()?)
        })
        .await
        .context("the version before can't be kept")
    }

    async fn is_here(&self, sha256: &str) -> anyhow::Result<bool> {
        let (programs, sha256) = (self.programs.clone(), sha256.to_owned());
        blocking(move || Ok(programs.is_whole(&sha256))).await
    }

    async fn fetch(&self, offer: &DtmaOffer) -> anyhow::Result<()> {
        let programs = [
            (DTMA, Some(&offer.dtma)),
            (TOOL_INIT, offer.tool_init.as_ref()),
        ];
        let bytes: u64 = programs
            .iter()
            .filter_map(|(_, it)| Some(it.as_ref()?.bytes))
            .sum();
        anyhow::ensure!(bytes <= MAX_BYTES, "it has {bytes} bytes, too many");
        let space = self.disk.space()?;
        // As much again for the copy of the program that runs.
        anyhow::ensure!(
            space.free_bytes >= self.disk.floor(space).saturating_add(2 * bytes),
            "the machine's disk has {} MiB left, too few",
            space.free_bytes >> 20
        );
        let unfinished = self.programs.begin(&offer.dtma.sha256)?;
        for (name, program) in programs {
            if let Some(program) = program {
                self.fetch_one(name, program, unfinished.file(name)?)
                    .await
                    .with_context(|| format!("`{name}` was not fetched"))?;
            }
        }
        blocking(move || Ok(unfinished.finish()?)).await
    }

    async fn fetch_one(&self, name: &str, offer: &ProgramOffer, file: File) -> anyhow::Result<()> {
        let mut response = self.client.download(name, FETCH_LIMIT).await?;
        let (mut file, mut hash, mut bytes) = (file, Sha256::new(), 0_u64);
        while let Some(piece) = tokio::time::timeout(STALL_LIMIT, response.chunk())
            .await
            .context("the control plane sends nothing")?
            .context("the connection broke off")?
        {
            bytes += piece.len() as u64;
            anyhow::ensure!(bytes <= offer.bytes, "it is longer than was offered");
            hash.update(&piece);
            file = blocking(move || {
                file.write_all(&piece)?;
                Ok(file)
            })
            .await?;
        }
        anyhow::ensure!(
            bytes == offer.bytes,
            "{bytes} bytes came instead of {}",
            offer.bytes
        );
        anyhow::ensure!(
            hex::encode(hash.finalize()) == offer.sha256,
            "its SHA-256 is not the one that was offered"
        );
        blocking(move || Ok(file.sync_all()?)).await
    }
}

/// Asks a program for its version and whether it can use this machine's configuration and
/// credentials: `dtma check`.
async fn check(
    program: &Path,
    config_file: Option<&Path>,
) -> anyhow::Result<Result<String, String>> {
    let mut command = tokio::process::Command::new(program);
    command.arg("check");
    if let Some(file) = config_file {
        command.arg("--config").arg(file);
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    let Ok(ended) = tokio::time::timeout(CHECK_LIMIT, command.output()).await else {
        let limit = CHECK_LIMIT.as_secs();
        return Ok(Err(format!("`dtma check` took longer than {limit} s")));
    };
    let output = match ended {
        Ok(output) => output,
        Err(error) => return Ok(Err(format!("it can't be run: {error}"))),
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let version = said.trim().strip_prefix("dtma ").map(str::trim);
    Ok(match version {
        Some(version) if output.status.success() && is_version(version) => Ok(version.to_owned()),
        _ => {
            let errors = String::from_utf8_lossy(&output.stderr);
            let last = errors.trim().lines().last().unwrap_or_default();
            let last: String = last.chars().take(MAX_SAID).collect();
            Err(format!("`dtma check` ended with {}: {last}", output.status))
        }
    })
}

fn is_version(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b".-+_".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(good)
}

/// SHA-256 of the program that runs.
pub(super) async fn own_digest() -> anyhow::Result<String> {
    blocking(|| Ok(digest(&PathBuf::from(OWN))?)).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await?
}

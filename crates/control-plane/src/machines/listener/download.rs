//! `GET /api/dtma/v1/download/{program}`: the programs that a new machine needs, and that an older
//! one updates itself with.
//!
//! For everybody who can reach the listener: the programs are no secret, and a new machine has
//! nothing to show yet but its one-time token. What it gets it compares with the SHA-256 in its
//! user-data, so the file and that number have to belong together: the file is opened once at the
//! start, and a machine is served from that open file, also when another was put in its place. The number
//! is computed meanwhile, by a thread of its own: a start does not wait for it, whoever wants to know it does.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread;

use agentopia_cloud::bootstrap::Programs;
use agentopia_dtma_api::to_control_plane::{DtmaOffer, ProgramOffer};
use anyhow::Context as _;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use http::header;
use sha2::{Digest as _, Sha256};

use super::ListenerState;
use super::refusal::Refusal;

/// How much is read and sent at once.
const CHUNK: usize = 64 << 10;
/// A fleet fetches an update within so many seconds, and not all at once. In the first seconds of a
/// small installation nobody waits for long.
const SPREAD_SECONDS: u32 = 30;

/// The programs that machines can download.
#[derive(Debug, Clone)]
pub struct Downloads {
    dtma: Arc<Program>,
    tool_init: Option<Arc<Program>>,
}

#[derive(Debug)]
struct Program {
    file: File,
    path: PathBuf,
    bytes: u64,
    /// `None` where the file could not be read.
    sha256: OnceLock<Option<String>>,
}

impl Downloads {
    /// Opens the programs and begins to compute their SHA-256. There is no `tool_init` where tools never run
    /// in containers.
    ///
    /// # Errors
    /// When one of them can't be opened.
    pub fn open(dtma: &FilePath, tool_init: Option<&FilePath>) -> anyhow::Result<Self> {
        let tool_init = tool_init.map(Program::open).transpose()?;
        Ok(Self {
            dtma: Program::open(dtma)?,
            tool_init,
        })
    }

    /// What new machines are told to expect, where there is all that they need. Waits until it is computed.
    #[must_use]
    pub fn programs(&self) -> Option<Programs> {
        Some(Programs {
            dtma_sha256: self.dtma.sha256()?.to_owned(),
            tool_init_sha256: self.tool_init.as_ref()?.sha256()?.to_owned(),
        })
    }

    /// What machines that run another DTMA are offered (DTMA-8); nothing where the programs could not be read.
    /// Waits until it is computed, which it is a moment after the start.
    #[must_use]
    pub fn offer(&self) -> Option<DtmaOffer> {
        let tool_init = self.tool_init.as_ref();
        Some(DtmaOffer {
            dtma: self.dtma.offer()?,
            tool_init: match tool_init {
                Some(program) => Some(program.offer()?),
                None => None,
            },
            spread_seconds: SPREAD_SECONDS,
        })
    }

    fn find(&self, name: &str) -> Option<Arc<Program>> {
        match name {
            "dtma" => Some(Arc::clone(&self.dtma)),
            "tool-init" => self.tool_init.clone(),
            _ => None,
        }
    }
}

impl Program {
    fn open(path: &FilePath) -> anyhow::Result<Arc<Self>> {
        let cannot = || format!("the program {} can't be read", path.display());
        let file = File::open(path).with_context(cannot)?;
        let metadata = file.metadata().with_context(cannot)?;
        anyhow::ensure!(metadata.is_file(), "{}: it is no file", cannot());
        anyhow::ensure!(
            metadata.len() > 0,
            "the program {} is empty",
            path.display()
        );
        let program = Arc::new(Self {
            file,
            path: path.to_owned(),
            bytes: metadata.len(),
            sha256: OnceLock::new(),
        });
        let computing = Arc::clone(&program);
        // Without a thread to spare it is computed by whoever asks first.
        let _spawned = thread::Builder::new()
            .name("sha256".to_owned())
            .spawn(move || {
                let _known_now = computing.sha256();
            });
        Ok(program)
    }

    fn sha256(&self) -> Option<&str> {
        let computed = self.sha256.get_or_init(|| {
            let hashed = self.hash();
            hashed
                .inspect_err(|error| {
                    tracing::error!(%error, program = %self.path.display(), "a program that machines download can't be read");
                })
                .ok()
        });
        computed.as_deref()
    }

    fn hash(&self) -> io::Result<String> {
        let (mut hash, mut offset) = (Sha256::new(), 0);
        let mut piece = vec![0; CHUNK];
        while offset < self.bytes {
            let left = usize::try_from(self.bytes - offset).map_or(CHUNK, |left| left.min(CHUNK));
            self.file.read_exact_at(&mut piece[..left], offset)?;
            hash.update(&piece[..left]);
            offset += left as u64;
        }
        Ok(hex::encode(hash.finalize()))
    }

    fn offer(&self) -> Option<ProgramOffer> {
        Some(ProgramOffer {
            sha256: self.sha256()?.to_owned(),
            bytes: self.bytes,
        })
    }

    /// A piece that begins at `offset`; none after the end.
    async fn piece(self: Arc<Self>, offset: u64) -> std::io::Result<Option<Bytes>> {
        let left = usize::try_from(self.bytes.saturating_sub(offset)).unwrap_or(CHUNK);
        if left == 0 {
            return Ok(None);
        }
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; left.min(CHUNK)];
            self.file
                .read_exact_at(&mut piece, offset)
                .inspect_err(|error| {
                    tracing::error!(%error, program = %self.path.display(), "a download broke off");
                })?;
            Ok::<_, std::io::Error>(Bytes::from(piece))
        });
        read.await.map_err(std::io::Error::other)?.map(Some)
    }
}

pub(super) async fn download(
    State(state): State<ListenerState>,
    Path(name): Path<String>,
) -> Result<Response, Refusal> {
    let program = state
        .downloads
        .as_ref()
        .and_then(|downloads| downloads.find(&name))
        .ok_or_else(|| {
            Refusal::new(
                http::StatusCode::NOT_FOUND,
                "unknown_program",
                "Unknown program",
                "this control plane offers no such program",
            )
        })?;
    let sha256 = program.sha256().ok_or_else(|| {
        Refusal::new(
            http::StatusCode::INTERNAL_SERVER_ERROR,
            "unreadable_program",
            "Unreadable program",
            "the control plane can't read this program; its log says why",
        )
    })?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, program.bytes.to_string()),
        (header::ETAG, format!("\"{sha256}\"")),
    ];
    let pieces = stream::try_unfold(0, move |offset| {
        let program = Arc::clone(&program);
        async move {
            let piece = program.piece(offset).await?;
            Ok::<_, std::io::Error>(piece.map(|piece| {
                let next = offset + piece.len() as u64;
                (piece, next)
            }))
        }
    });
    Ok((headers, Body::from_stream(pieces)).into_response())
}

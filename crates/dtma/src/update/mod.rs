//! Self-update (DTMA-8): the machine runs the DTMA that its control plane offers, and comes back to
//! the version before by itself when the new one is no good.
//!
//! ```text
//! updater    offer -> download, check size and SHA-256, `dtma check` -> trial on disk -> shut down
//! launcher   what the service manager starts: runs the current program, or supervises a trial
//! trial      the new program as a child: heard within the limit -> stays, otherwise -> version before
//! ```
//!
//! The program that was installed with the machine is never replaced (it may be on a file system
//! that is read-only for us). After a start of the machine it is the launcher of the later ones,
//! which are below `<data_dir>/update/programs/<sha256>/`, and of which [`state`] says which one
//! counts; within an update the version that runs becomes the launcher of the next. Every change of
//! that file is atomic, so that a loss of power at any instant leaves the old program or the new
//! one in charge. Containers go on meanwhile; child processes of the `process` runtime start anew.
//!
//! What older launchers and newer programs agree on, and what therefore never changes: the file
//! [`state`], the variables of [`handover`], and the exit status [`handover::START_AGAIN`].

pub mod handover;
pub mod launcher;
mod prepare;
mod programs;
mod state;
mod trial;
mod updater;

pub use handover::Own;
pub use updater::{Settings, Updates};

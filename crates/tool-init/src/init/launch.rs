//! From a SPAWN to a running process: which program, which environment, which descriptors.

use std::ffi::{CStr, CString, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use crate::frame::{Refusal, ServerKind, Spawn, Stage};
use crate::sys::process::{self, Launch};
use crate::sys::signal;

/// Where a program without a slash is looked for when the environment has no PATH.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Added to our own `oom_score_adj`, of -1000 to 1000.
const OOM_SCORE_STEP: i32 = 500;

/// What every SPAWN draws on: the image's command and environment (no secrets are in it).
#[derive(Debug)]
pub(super) struct Launcher {
    image_argv: Vec<CString>,
    image_env: Vec<CString>,
    oom_score_adj: String,
    die_with_parent: bool,
}

impl Launcher {
    pub(super) fn new(
        image_argv: Vec<CString>,
        image_env: impl Iterator<Item = (OsString, OsString)>,
        die_with_parent: bool,
    ) -> Self {
        let entry = |(name, value): (OsString, OsString)| {
            let mut entry = name.into_vec();
            entry.push(b'=');
            entry.extend(value.into_vec());
            CString::new(entry).ok()
        };
        let own = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
        let own: i32 = own.trim().parse().unwrap_or(0);
        Self {
            image_argv,
            image_env: image_env.filter_map(entry).collect(),
            oom_score_adj: (own + OOM_SCORE_STEP).min(1000).to_string(),
            die_with_parent,
        }
    }

    /// Starts it. The message that `request` borrows from can be wiped afterwards.
    pub(super) fn start(
        &self,
        request: &Spawn<'_>,
        fds: &[OwnedFd],
    ) -> Result<(u32, ServerKind), Refusal> {
        let argv: Vec<&CStr> = if request.argv.is_empty() {
            self.image_argv.iter().map(CString::as_c_str).collect()
        } else {
            request.argv.iter().collect()
        };
        let program = *argv.first().ok_or(Refusal {
            stage: Stage::Exec,
            errno: libc::EINVAL,
        })?;
        let image_env: &[CString] = if request.inherit_env {
            &self.image_env
        } else {
            &[]
        };
        let env = merge(&request.env.iter().collect::<Vec<_>>(), image_env);
        let candidates = candidates(program, &env);
        let programs: Vec<&CStr> = match &candidates {
            Some(candidates) => candidates.iter().map(CString::as_c_str).collect(),
            None => vec![program],
        };
        let cwd = request.cwd.iter().next().filter(|cwd| !cwd.is_empty());

        let set_up = |errno| Refusal {
            stage: Stage::SetUp,
            errno,
        };
        let null;
        let (out, err) = (std::io::stdout(), std::io::stderr());
        let (stdio, kind): ([BorrowedFd<'_>; 3], _) = match fds {
            [] => {
                null = signal::dev_null()
                    .map_err(|error| set_up(error.raw_os_error().unwrap_or(libc::EIO)))?;
                ([null.as_fd(), out.as_fd(), err.as_fd()], ServerKind::Http)
            }
            [stdin, stdout] => (
                [stdin.as_fd(), stdout.as_fd(), err.as_fd()],
                ServerKind::Stdio,
            ),
            [stdin, stdout, stderr] => (
                [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()],
                ServerKind::Stdio,
            ),
            _ => {
                return Err(Refusal {
                    stage: Stage::Message,
                    errno: libc::EINVAL,
                });
            }
        };
        let pid = process::spawn(&Launch {
            programs: &programs,
            argv: &argv,
            env: &env,
            cwd,
            stdio,
            oom_score_adj: self.oom_score_adj.as_bytes(),
            die_with_parent: self.die_with_parent,
        })?;
        Ok((pid, kind))
    }
}

fn name(entry: &CStr) -> &[u8] {
    let entry = entry.to_bytes();
    entry.split(|b| *b == b'=').next().unwrap_or(entry)
}

/// What was sent, then the image's variables of other names.
fn merge<'a>(sent: &[&'a CStr], image: &'a [CString]) -> Vec<&'a CStr> {
    let unsent = |entry: &&CStr| !sent.iter().any(|other| name(other) == name(entry));
    sent.iter()
        .copied()
        .chain(image.iter().map(CString::as_c_str).filter(unsent))
        .collect()
}

/// The paths to try for a program without a slash; `None` if it has one.
fn candidates(program: &CStr, env: &[&CStr]) -> Option<Vec<CString>> {
    if program.to_bytes().contains(&b'/') {
        return None;
    }
    let path = env
        .iter()
        .find_map(|entry| entry.to_bytes().strip_prefix(b"PATH="));
    let candidate = |directory: &[u8]| {
        let directory = if directory.is_empty() {
            b"."
        } else {
            directory
        };
        CString::new([directory, b"/", program.to_bytes()].concat()).ok()
    };
    Some(
        path.unwrap_or(DEFAULT_PATH)
            .split(|b| *b == b':')
            .filter_map(candidate)
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_wins_over_the_image() {
        let image = [c"PATH=/image".to_owned(), c"KEEP=1".to_owned()];
        let merged = merge(&[c"PATH=/sent", c"TOKEN=x"], &image);
        assert_eq!(merged, [c"PATH=/sent", c"TOKEN=x", c"KEEP=1"]);
    }

    #[test]
    fn a_name_is_not_mistaken_for_a_longer_one() {
        let image = [c"PATHX=/image".to_owned()];
        assert_eq!(merge(&[c"PATH=/sent"], &image).len(), 2);
    }

    #[test]
    fn programs_are_looked_up_in_the_servers_own_path() {
        let found = candidates(c"node", &[c"A=1", c"PATH=/a::/b"]).unwrap();
        assert_eq!(
            found,
            [
                c"/a/node".to_owned(),
                c"./node".to_owned(),
                c"/b/node".to_owned()
            ]
        );
        assert_eq!(candidates(c"/bin/node", &[c"PATH=/a"]), None);
        assert_eq!(candidates(c"node", &[]).unwrap().len(), 6);
    }

    #[test]
    fn no_program_at_all_is_refused() {
        let launcher = Launcher::new(Vec::new(), std::iter::empty(), false);
        let none = crate::frame::Strings::default();
        let session = crate::protocol::SessionId::new(1).unwrap();
        let request = Spawn {
            session,
            inherit_env: false,
            cwd: none,
            argv: none,
            env: none,
        };
        let refusal = launcher.start(&request, &[]).unwrap_err();
        assert_eq!(
            refusal,
            Refusal {
                stage: Stage::Exec,
                errno: libc::EINVAL
            }
        );
    }
}

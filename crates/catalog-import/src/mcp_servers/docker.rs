//! `docker run`, as far as a tool can have what it asks for. What tools never get is refused by name;
//! what they have anyway is passed over.

use crate::{Problem, words};

/// A command line, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) image: String,
    pub(crate) command: Vec<String>,
    /// Variables; without a value it comes from the client's own environment.
    pub(crate) env: Vec<(String, Option<String>)>,
    /// The one directory that outlives the container.
    pub(crate) mount: Option<String>,
    /// Whether it has no network.
    pub(crate) is_offline: bool,
    pub(crate) notes: Vec<String>,
}

/// Flags without a value that mean nothing here: every tool has what they ask for, or needs it not.
const SWITCHES: [&str; 13] = [
    "-i",
    "--interactive",
    "-t",
    "--tty",
    "--rm",
    "--init",
    "-d",
    "--detach",
    "--read-only",
    "-q",
    "--quiet",
    "-it",
    "-ti",
];
/// The same with a value.
const PASSED_OVER: [&str; 16] = [
    "--name",
    "--pull",
    "-a",
    "--attach",
    "--restart",
    "-h",
    "--hostname",
    "-l",
    "--label",
    "--log-driver",
    "--stop-timeout",
    "--memory",
    "-m",
    "--cpus",
    "--pids-limit",
    "--security-opt",
];

impl Run {
    /// Reads what comes after `docker run`.
    pub(crate) fn parse(args: &[String]) -> Result<Self, Problem> {
        let mut run = Self::default();
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            if !arg.starts_with('-') {
                run.image.clone_from(arg);
                run.command = rest.cloned().collect();
                return Ok(run);
            }
            if SWITCHES.contains(&arg.as_str()) {
                continue;
            }
            let (flag, joined) = split(arg);
            let mut value = || {
                joined
                    .map(str::to_owned)
                    .or_else(|| rest.next().cloned())
                    .ok_or_else(|| Problem::new(format!("{} has no value", words::line(flag, 40))))
            };
            match flag {
                "-e" | "--env" => {
                    let text = value()?;
                    let pair = text.split_once('=');
                    run.env.push(match pair {
                        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                        None => (text, None),
                    });
                }
                "-v" | "--volume" => run.bind(&volume_target(&value()?)?)?,
                "--mount" => run.bind(&mount_target(&value()?)?)?,
                "-p" | "--publish" => {
                    value()?;
                    run.notes.push(
                        "the published port was left out: tools are reached through the gateway"
                            .to_owned(),
                    );
                }
                "--network" | "--net" | "--add-host" | "--dns" => {
                    if value()? == "none" {
                        run.is_offline = true;
                        continue;
                    }
                    run.notes.push(format!(
                        "{flag} was left out: a tool has a network of its own"
                    ));
                }
                "-u" | "--user" => {
                    value()?;
                    run.notes
                        .push("--user was left out: a tool runs as a user of its own".to_owned());
                }
                "--platform" => {
                    value()?;
                    run.notes.push(
                        "--platform was left out: the image has to have the machine's".to_owned(),
                    );
                }
                _ if PASSED_OVER.contains(&flag) => {
                    value()?;
                }
                _ => {
                    return Err(Problem::new(format!(
                        "{} of docker run is something that tools don't get here: write the command \
                         without it, if the server does without",
                        words::line(flag, 40)
                    )));
                }
            }
        }
        Err(Problem::new("docker run names no image"))
    }

    fn bind(&mut self, target: &str) -> Result<(), Problem> {
        if self.mount.as_deref().is_some_and(|mount| mount != target) {
            return Err(Problem::new(
                "it mounts several directories; a tool has one volume: keep the one whose content has to stay",
            ));
        }
        self.notes.push(format!(
            "{} becomes a volume of the tool's own, empty at first: nothing of anybody's computer is in it",
            words::line(target, 100)
        ));
        self.mount = Some(target.to_owned());
        Ok(())
    }
}

/// `--env=A=b` and `-eA=b` have their value with them.
fn split(arg: &str) -> (&str, Option<&str>) {
    if arg.starts_with("--") {
        return match arg.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (arg, None),
        };
    }
    match arg.get(..2) {
        Some(flag @ ("-e" | "-v" | "-p" | "-u")) if arg.len() > 2 => (
            flag,
            arg.get(2..).map(|it| it.strip_prefix('=').unwrap_or(it)),
        ),
        _ => (arg, None),
    }
}

fn volume_target(text: &str) -> Result<String, Problem> {
    // The last absolute path: `C:\data:/data:ro` has colons of its own.
    let outside = usize::from(text.contains(':'));
    let inside = text.split(':').skip(outside);
    inside
        .filter(|part| part.starts_with('/') && !part.contains("docker.sock"))
        .last()
        .map(str::to_owned)
        .ok_or_else(|| {
            Problem::new(
                "a volume has no path in the container, or is Docker's own socket, which tools never get",
            )
        })
}

fn mount_target(text: &str) -> Result<String, Problem> {
    let found = text.split(',').find_map(|part| {
        let (key, value) = part.split_once('=')?;
        matches!(key.trim(), "dst" | "target" | "destination").then(|| value.trim())
    });
    match found {
        Some(target) if target.starts_with('/') && !target.contains("docker.sock") => {
            Ok(target.to_owned())
        }
        _ => Err(Problem::new(
            "a mount has no path in the container (`dst=/…`)",
        )),
    }
}

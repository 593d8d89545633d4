//! Looks whether this machine can be an environment, without changing anything (TOOL-12).

use std::path::Path;

use agentopia_domain::verification::Check;
use nix::unistd::{AccessFlags, access};

use super::{LocalConfig, free_port};

pub(super) fn look(config: &LocalConfig) -> Vec<Check> {
    let mut checks = vec![
        program("provider.dtma", &config.dtma, "dtma_binary"),
        directory(&config.root),
        port(config),
    ];
    let name = "provider.tool_init";
    match (&config.tool_init, config.runtime.as_str()) {
        (_, "process") => {}
        (Some(path), _) => checks.push(program(name, path, "tool_init_binary")),
        (None, "docker") => checks.push(Check::failed(
            name,
            "the program `tool-init` is not beside `agentopia`, and without it tools can't run in \
             containers: put it there, or set `tool_init_binary`",
        )),
        (None, _) => checks.push(Check::warning(
            name,
            "the program `tool-init` is not beside `agentopia`: tools can't run in containers; put \
             it there, or set `tool_init_binary`",
        )),
    }
    checks
}

fn program(name: &str, path: &Path, setting: &str) -> Check {
    match access(path, AccessFlags::X_OK) {
        Ok(()) if path.is_file() => Check::ok(name, format!("{} can be started", path.display())),
        _ => Check::failed(
            name,
            format!(
                "{} is no program that can be started: put it there, or set `{setting}`",
                path.display()
            ),
        ),
    }
}

/// Where machines' directories are, or will be: what of the path there is has to be writable.
fn directory(root: &Path) -> Check {
    let name = "provider.directory";
    let there = root.ancestors().find(|path| path.exists());
    let writable = there.is_some_and(|path| {
        path.is_dir() && access(path, AccessFlags::W_OK | AccessFlags::X_OK).is_ok()
    });
    if writable {
        return Check::ok(name, format!("{} can be written to", root.display()));
    }
    Check::failed(
        name,
        format!(
            "{} can't be written to: give it to the user that the server runs as, or set `data_dir`",
            root.display()
        ),
    )
}

fn port(config: &LocalConfig) -> Check {
    let name = "provider.port";
    match free_port(config.first_port, &config.root) {
        Ok(port) => Check::ok(name, format!("the next machine would listen on {port}")),
        Err(error) => Check::failed(name, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use agentopia_domain::verification::Outcome;

    use super::*;

    fn config(dir: &Path) -> LocalConfig {
        let dtma = dir.join("dtma");
        std::fs::write(&dtma, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&dtma, std::fs::Permissions::from_mode(0o755)).unwrap();
        LocalConfig {
            root: dir.join("data/machines"),
            tool_init: Some(dtma.clone()),
            dtma,
            tools_dir: None,
            runtime: "docker".to_owned(),
            first_port: 20_000,
        }
    }

    fn bad(config: &LocalConfig) -> Vec<(String, Outcome)> {
        let checks = look(config).into_iter();
        let bad = checks.filter(|check| check.outcome != Outcome::Ok);
        bad.map(|check| (check.name, check.outcome)).collect()
    }

    #[test]
    fn each_thing_that_is_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let good = config(dir.path());
        assert_eq!(bad(&good), []);
        assert!(!good.root.exists(), "looking makes nothing");

        let failed = |name: &str| vec![(name.to_owned(), Outcome::Failed)];
        let no_program = LocalConfig {
            dtma: dir.path().to_owned(),
            ..good.clone()
        };
        assert_eq!(bad(&no_program), failed("provider.dtma"));
        let mut no_init = LocalConfig {
            tool_init: None,
            ..good.clone()
        };
        assert_eq!(bad(&no_init), failed("provider.tool_init"));
        no_init.runtime = "process".to_owned();
        assert_eq!(bad(&no_init), []);
        let no_directory = LocalConfig {
            root: good.dtma.join("machines"),
            ..good.clone()
        };
        assert_eq!(bad(&no_directory), failed("provider.directory"));
        let no_port = LocalConfig {
            first_port: u16::MAX,
            ..good
        };
        assert_eq!(bad(&no_port), failed("provider.port"));
    }
}

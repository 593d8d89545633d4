//! Which program to run, and with what.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use agentopia_domain::EnvironmentId;
use agentopia_domain::InstanceId;
use agentopia_domain::catalog::Transport;
use agentopia_domain::resources::Resources;
use agentopia_domain::spec::InstanceSpec;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::process::Command;

use super::confine::confine;
use crate::runtime::{ErrorCode, RuntimeError, spec_hash};

/// Marks every process of an instance, and what it starts, so that none is left behind.
pub(super) const MARK_INSTANCE: &str = "AGENTOPIA_INSTANCE";
/// The same for all instances of an environment.
pub(super) const MARK_ENVIRONMENT: &str = "AGENTOPIA_ENVIRONMENT";
/// Stands for the allocated port in a server's arguments.
const PORT_ARGUMENT: &str = "{port}";
/// Where programs are looked up when the DTMA has no PATH.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The program of a spec, as a path.
///
/// # Errors
/// When the catalog names none, or it is not on this machine.
pub(super) fn find(spec: &InstanceSpec, tools_dir: Option<&Path>) -> Result<PathBuf, RuntimeError> {
    let Some(name) = spec.program.process.first() else {
        return Err(RuntimeError::new(
            ErrorCode::Unsupported,
            "this tool comes as a container image only and this machine runs tools as processes: \
             install Docker on the machine, or give the catalog entry a `process`",
        ));
    };
    if name.contains('/') {
        let path = PathBuf::from(name);
        return if path.is_absolute() && is_program(&path) {
            Ok(path)
        } else {
            Err(missing(name, "give an absolute path of an executable file"))
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    tools_dir
        .map(Path::to_owned)
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_absolute() && is_program(candidate))
        .ok_or_else(|| missing(name, "install it there"))
}

fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn missing(name: &str, advice: &str) -> RuntimeError {
    RuntimeError::new(
        ErrorCode::ProgramNotFound,
        format!("the program `{name}` is neither in the tools directory nor in PATH: {advice}"),
    )
}

/// Everything that a process of an instance is started with.
pub(super) struct Recipe {
    pub(super) instance_id: InstanceId,
    pub(super) generation: i64,
    pub(super) spec_hash: String,
    pub(super) transport: Transport,
    environment_id: EnvironmentId,
    program: PathBuf,
    args: Vec<String>,
    work_dir: PathBuf,
    env: BTreeMap<String, String>,
    secrets: BTreeMap<String, SecretString>,
    resources: Resources,
}

impl std::fmt::Debug for Recipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recipe")
            .field("instance_id", &self.instance_id)
            .field("program", &self.program)
            .finish_non_exhaustive()
    }
}

impl Recipe {
    /// # Errors
    /// When a value can't be given to a process (it holds a NUL byte).
    pub(super) fn new(
        spec: &InstanceSpec,
        program: PathBuf,
        work_dir: PathBuf,
        volume: Option<PathBuf>,
        secrets: BTreeMap<String, SecretString>,
    ) -> Result<Self, RuntimeError> {
        let mount = spec
            .volume
            .as_ref()
            .map(|volume| volume.mount_path.as_str());
        let args: Vec<String> = spec.program.process[1..]
            .iter()
            .map(|arg| in_volume(arg, mount, volume.as_deref()))
            .collect();
        let env: BTreeMap<String, String> = spec
            .env
            .iter()
            .map(|(name, value)| (name.clone(), in_volume(value, mount, volume.as_deref())))
            .collect();
        let plain = args.iter().chain(env.values()).map(String::as_str);
        let secret = secrets.values().map(|value| value.expose_secret());
        if plain.chain(secret).any(|text| text.contains('\0')) {
            return Err(RuntimeError::new(
                ErrorCode::ExecFailed,
                "an argument, variable or secret of this tool holds a NUL byte, which no process \
                 can be given",
            ));
        }
        Ok(Self {
            instance_id: spec.instance_id,
            generation: spec.generation,
            spec_hash: spec_hash(spec),
            transport: spec.transport.clone(),
            environment_id: spec.environment_id,
            program,
            args,
            work_dir,
            env,
            secrets,
            resources: spec.resources,
        })
    }

    /// A command for one process, with `own` values in place of the tool's own. Its environment is this
    /// tool's alone: nothing of the DTMA's.
    ///
    /// # Errors
    /// When a value can't be given to a process (it holds a NUL byte).
    pub(super) fn command(
        &self,
        port: Option<u16>,
        own: &BTreeMap<String, SecretString>,
    ) -> Result<Command, RuntimeError> {
        let mut values = own.values();
        if values.any(|value| value.expose_secret().contains('\0')) {
            return Err(RuntimeError::new(
                ErrorCode::ExecFailed,
                "a secret of this link holds a NUL byte, which no process can be given",
            ));
        }
        let mut command = Command::new(&self.program);
        for arg in &self.args {
            match port {
                Some(port) => command.arg(arg.replace(PORT_ARGUMENT, &port.to_string())),
                None => command.arg(arg),
            };
        }
        command.env_clear();
        command.env(
            "PATH",
            std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into()),
        );
        command.env("HOME", &self.work_dir).env("LANG", "C.UTF-8");
        if let Some(port) = port {
            command.env("PORT", port.to_string());
        }
        command.envs(&self.env);
        for (name, value) in self.secrets.iter().chain(own) {
            command.env(name, value.expose_secret());
        }
        command.env(MARK_INSTANCE, self.instance_id.to_string());
        command.env(MARK_ENVIRONMENT, self.environment_id.to_string());
        command
            .current_dir(&self.work_dir)
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        confine(&mut command, self.resources.memory_bytes);
        Ok(command)
    }

    /// What a failed start means.
    pub(super) fn failed(&self, error: &std::io::Error) -> RuntimeError {
        let (code, why) = match error.raw_os_error() {
            Some(nix::libc::ENOEXEC) => {
                (ErrorCode::ExecFailed, "it is no program for this machine")
            }
            Some(nix::libc::EACCES) => (ErrorCode::ExecFailed, "it may not be executed"),
            Some(nix::libc::ENOENT) => (
                ErrorCode::ProgramNotFound,
                "the program, or the interpreter that it names, is missing",
            ),
            Some(nix::libc::E2BIG) => (
                ErrorCode::ExecFailed,
                "its configuration is too long (128 KiB for one value, 2 MiB for all)",
            ),
            _ => (ErrorCode::SpawnFailed, "the machine could not start it"),
        };
        RuntimeError::new(code, format!("{}: {why} ({error})", self.program.display()))
    }
}

/// A path below the volume's place in a container, at its place on this machine.
fn in_volume(text: &str, mount: Option<&str>, volume: Option<&Path>) -> String {
    let (Some(mount), Some(volume)) = (mount, volume) else {
        return text.to_owned();
    };
    match text.strip_prefix(mount) {
        Some("") => volume.display().to_string(),
        Some(rest) if rest.starts_with('/') => format!("{}{rest}", volume.display()),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::spec;

    #[test]
    fn paths_of_the_volume_are_moved_and_no_others() {
        let volume = Path::new("/srv/v");
        let moved = |text| in_volume(text, Some("/data"), Some(volume));
        assert_eq!(moved("/data"), "/srv/v");
        assert_eq!(moved("/data/x"), "/srv/v/x");
        assert_eq!(moved("/database"), "/database");
        assert_eq!(in_volume("/data", None, None), "/data");
    }

    #[test]
    fn a_bare_name_is_looked_up_in_the_tools_directory_first() {
        let tools = tempfile::tempdir().unwrap();
        let mut spec = spec();
        let in_path = find(&spec, Some(tools.path())).unwrap();
        assert!(in_path.ends_with("cat") && !in_path.starts_with(tools.path()));
        std::fs::copy(&in_path, tools.path().join("cat")).unwrap();
        assert!(
            find(&spec, Some(tools.path()))
                .unwrap()
                .starts_with(tools.path())
        );
        for (program, code) in [
            ("no-such-program", ErrorCode::ProgramNotFound),
            ("./cat", ErrorCode::ProgramNotFound),
            ("/etc/passwd", ErrorCode::ProgramNotFound),
        ] {
            spec.program.process = vec![program.to_owned()];
            assert_eq!(find(&spec, None).unwrap_err().code, code, "{program}");
        }
        spec.program.process.clear();
        assert_eq!(find(&spec, None).unwrap_err().code, ErrorCode::Unsupported);
    }

    #[test]
    fn secrets_are_in_no_debug_output() {
        let secrets = BTreeMap::from([("TOKEN".to_owned(), SecretString::from("hunter22"))]);
        let recipe = Recipe::new(&spec(), "/bin/cat".into(), "/tmp".into(), None, secrets).unwrap();
        assert!(!format!("{recipe:?}").contains("hunter22"));
    }
}

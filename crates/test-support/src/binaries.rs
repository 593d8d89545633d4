//! Where the programs under test are. They are built by `script/test`, never by the tests.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// A program that cargo built: `agentopia` or `dtma`. Looked for in `AGENTOPIA_TEST_BIN_DIR`, else
/// in the target directory that the running test came from.
///
/// # Errors
/// When it is not there; the error says what to run.
pub fn built(name: &str) -> anyhow::Result<PathBuf> {
    let dir = match std::env::var_os("AGENTOPIA_TEST_BIN_DIR") {
        Some(dir) => PathBuf::from(dir),
        // target/debug/deps/<test> -> target/debug
        None => std::env::current_exe()?
            .ancestors()
            .nth(2)
            .map(Path::to_owned)
            .context("the test stands in no target directory")?,
    };
    present(&dir.join(name))
}

/// A static program for tool containers: `tool-init` or `agentopia-echo`. Looked for in
/// `AGENTOPIA_STATIC_DIR` (which `script/test` sets), else where `script/build-static` puts them.
///
/// # Errors
/// When it is not there; the error says what to run.
pub fn static_build(name: &str) -> anyhow::Result<PathBuf> {
    present(&static_dir()?.join(name))
}

/// The directory of the static programs.
///
/// # Errors
/// When neither it nor a home directory is named.
pub fn static_dir() -> anyhow::Result<PathBuf> {
    for name in ["AGENTOPIA_STATIC_DIR", "AGENTOPIA_TEST_STATIC_DIR"] {
        if let Some(dir) = std::env::var_os(name) {
            return Ok(dir.into());
        }
    }
    Ok(cache()?.join("target-static/x86_64-unknown-linux-gnu/tiny"))
}

/// What `script/images` wrote: where the tool images are. `AGENTOPIA_TEST_IMAGES`.
///
/// # Errors
/// When it is not there; the error says what to run.
pub fn images() -> anyhow::Result<PathBuf> {
    let path = match std::env::var_os("AGENTOPIA_TEST_IMAGES") {
        Some(path) => path.into(),
        None => cache()?.join("images.json"),
    };
    present(&path)
}

/// The project's cache directory.
///
/// # Errors
/// When no home directory is known.
pub fn cache() -> anyhow::Result<PathBuf> {
    std::env::var_os("AGENTOPIA_CACHE")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache/agentopia")))
        .context("neither AGENTOPIA_CACHE nor HOME is set")
}

fn present(path: &Path) -> anyhow::Result<PathBuf> {
    anyhow::ensure!(
        path.exists(),
        "{} is missing: run the tests with `script/test system` (or `mcp`), which builds everything \
         they need",
        path.display()
    );
    Ok(path.to_owned())
}

/// A value that `script/services env` or `script/peers` prints.
///
/// # Errors
/// When it is not set; the error says what to run.
pub fn from_scripts(name: &str) -> anyhow::Result<String> {
    std::env::var(name).map_err(|_| {
        anyhow::anyhow!(
            "{name} is not set: run the tests with `script/test system` (or `mcp`), or: \
             eval \"$(script/services env)\"; eval \"$(script/peers)\""
        )
    })
}

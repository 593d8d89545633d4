//! `dtma check`: whether this version can take over a machine as it is. Asked by the version that
//! runs, before it hands over (`update`); nothing is changed.

use crate::config::Config;
use crate::identity::IdentityStore;

/// The line that says which version this is, if it can run here.
///
/// # Errors
/// When it can't use the credentials. That it could use the configuration is shown by there being
/// one.
pub fn check(config: &Config) -> anyhow::Result<String> {
    IdentityStore::of_running(&config.data_dir.join("identity")).load()?;
    Ok(format!("dtma {}", env!("CARGO_PKG_VERSION")))
}

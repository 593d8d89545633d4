//! What all schedules begin with and none changes: a database with its tables and one entry in the
//! catalog, the vault's key, and the installation's CA. Made once for each process, because it takes longer than a
//! schedule.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agentopia_control_plane::machines::Authority;
use agentopia_domain::catalog::{
    CatalogDefinition, CatalogStatus, ConfigTemplate, Packaging, StdioProcesses, ToolVersion,
    Transport,
};
use agentopia_domain::direct_access::{DirectPort, PortProtocol};
use agentopia_domain::name::Name;
use agentopia_domain::resources::Resources;
use agentopia_domain::{Ambient, SystemClock};
use agentopia_store::{DatabaseConfig, SqliteSync, Store};
use agentopia_vault::{BuiltIn, Keyring, Vault};
use anyhow::Context as _;
use secrecy::SecretString;
use tempfile::TempDir;

use crate::dice::SeededEntropy;

/// The slug of the one tool that there is.
pub(crate) const TOOL: &str = "tool";
/// Its one version.
pub(crate) const VERSION: &str = "1.0.0";
/// A file system in memory: nothing here has to outlive the process.
const MEMORY: &str = "/dev/shm";

/// See the module's header.
#[derive(Debug)]
pub struct Template {
    dir: TempDir,
    pub(crate) authority: Arc<Authority>,
    keyring: SecretString,
}

impl Template {
    /// Makes it.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn make() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        runtime.block_on(Self::made())
    }

    async fn made() -> anyhow::Result<Self> {
        let dir = match Path::new(MEMORY).is_dir() {
            true => TempDir::new_in(MEMORY),
            false => TempDir::new(),
        };
        let dir = dir.context("no room for databases")?;
        let ambient = Ambient::new(Arc::new(SystemClock), Arc::new(SeededEntropy::new(0, 0)));
        let keyring = Keyring::generate(&ambient);
        let text = keyring.to_text();
        let vault = BuiltIn::new(keyring, ambient.clone());
        let store = Store::connect(&database(&path(&dir, "template")), ambient.clone()).await?;
        store.migrate().await?;
        let entry = ambient.new_id();
        store.catalog().insert(entry, &tool()?, &[]).await?;
        let authority = Authority::open(&store, &vault, ambient).await?;
        store.close().await?;
        Ok(Self {
            authority: Arc::new(authority),
            dir,
            keyring: text,
        })
    }

    /// A database of its own for one schedule; the name is nobody else's.
    pub(crate) async fn copy(&self, name: &str) -> anyhow::Result<Database> {
        let file = path(&self.dir, name);
        std::fs::copy(path(&self.dir, "template"), &file)?;
        // Nobody uses it as it stands: each party sees it by a clock of its own.
        let store = Store::connect(&database(&file), Ambient::system()).await?;
        Ok(Database { file, store })
    }

    pub(crate) fn vault(&self, ambient: Ambient) -> anyhow::Result<Arc<dyn Vault>> {
        let keyring = Keyring::parse(&self.keyring, "the template")?;
        Ok(Arc::new(BuiltIn::new(keyring, ambient)))
    }
}

/// What people deploy.
fn tool() -> anyhow::Result<CatalogDefinition> {
    let version = ToolVersion {
        version: VERSION.to_owned(),
        tag: Some(VERSION.to_owned()),
        digest: None,
        args: Vec::new(),
        env: BTreeMap::new(),
        process: Vec::new(),
        resources: None,
        transport: None,
        package: None,
    };
    Ok(CatalogDefinition {
        slug: TOOL.to_owned(),
        name: Name::parse(TOOL)?,
        registry_name: None,
        description: String::new(),
        developer_organisation: String::new(),
        categories: Vec::new(),
        icon: None,
        documentation_url: None,
        packaging: Packaging::DockerImage {
            image: "registry.invalid/tool".to_owned(),
        },
        transport: Transport::Stdio {
            processes: StdioProcesses::PerSession,
        },
        versions: vec![version],
        default_version: VERSION.to_owned(),
        config: ConfigTemplate::default(),
        secrets: Vec::new(),
        resources: Resources::default(),
        volume: None,
        direct_access: Some(DirectPort {
            port: 80,
            protocols: BTreeSet::from([PortProtocol::Tcp]),
            purpose: String::new(),
        }),
        egress: Default::default(),
        idle_seconds: None,
        status: CatalogStatus::Available,
    })
}

/// The database of one schedule.
pub(crate) struct Database {
    file: PathBuf,
    pub(crate) store: Store,
}

impl Drop for Database {
    fn drop(&mut self) {
        for end in ["", "-wal", "-shm"] {
            let mut name = self.file.clone().into_os_string();
            name.push(end);
            // What is left is taken away with the directory.
            let _gone = std::fs::remove_file(name);
        }
    }
}

fn path(dir: &TempDir, name: &str) -> PathBuf {
    dir.path().join(format!("{name}.db"))
}

fn database(path: &Path) -> DatabaseConfig {
    DatabaseConfig::Sqlite {
        path: path.to_path_buf(),
        sync: SqliteSync::Normal,
    }
}

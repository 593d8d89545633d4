//! A database of its own in the private PostgreSQL that `script/services` runs.

use std::process::{Command, Stdio};

use agentopia_domain::Ambient;
use anyhow::Context as _;
use url::Url;

use crate::binaries::from_scripts;

/// A database, dropped with this value.
#[derive(Debug)]
pub struct TestDatabase {
    admin: Url,
    name: String,
}

impl TestDatabase {
    /// Makes an empty one.
    ///
    /// # Errors
    /// When PostgreSQL does not answer.
    pub fn create() -> anyhow::Result<Self> {
        let admin = Url::parse(&from_scripts("AGENTOPIA_TEST_POSTGRES_URL")?)?;
        let name = format!("e2e_{}", Ambient::system().new_id::<uuid::Uuid>().simple());
        let database = Self { admin, name };
        database.sql(&format!("create database {}", database.name))?;
        Ok(database)
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        let mut url = self.admin.clone();
        url.set_path(&self.name);
        url.into()
    }

    fn sql(&self, statement: &str) -> anyhow::Result<()> {
        let mut plain = self.admin.clone();
        let password = plain.password().unwrap_or_default().to_owned();
        plain
            .set_password(None)
            .ok()
            .context("no URL of a server")?;
        let output = Command::new("psql")
            .args([
                "-XqtA",
                "-v",
                "ON_ERROR_STOP=1",
                "-d",
                plain.as_str(),
                "-c",
                statement,
            ])
            .env("PGPASSWORD", password)
            .stdin(Stdio::null())
            .output()
            .context("`psql` can't be run: run the tests with `script/test system`")?;
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "{statement}: {}", said.trim());
        Ok(())
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // A test that failed may have left connections; what is left otherwise is only a name.
        let _ = self.sql(&format!(
            "drop database if exists {} with (force)",
            self.name
        ));
    }
}

//! Which database, from `DATABASE_URL` or the data directory.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use sea_orm::sqlx::postgres::PgConnectOptions;
use secrecy::{ExposeSecret as _, SecretString};

use crate::error::StoreError;

/// Connections to PostgreSQL that one replica opens at most, unless told otherwise.
const DEFAULT_MAX_CONNECTIONS: u32 = 16;

/// Where the data is.
#[derive(Debug, Clone)]
pub enum DatabaseConfig {
    /// A file on this machine; one control plane only.
    Sqlite {
        /// The file; made, readable by its owner alone, where it is missing.
        path: PathBuf,
        /// What survives a power cut.
        sync: SqliteSync,
    },
    /// A server; any number of replicas.
    Postgres {
        /// `postgres://user:password@host:port/database`.
        url: SecretString,
        /// Connections that this replica opens at most.
        max_connections: u32,
    },
}

/// What survives a power cut or a crash of the system. A crash of our own process loses nothing
/// either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqliteSync {
    /// Everything that was committed. The default: a token redeemed once stays redeemed.
    Full,
    /// All but perhaps the last commits; the file stays sound. For tests.
    Normal,
}

impl DatabaseConfig {
    /// A SQLite file.
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        Self::Sqlite {
            path: path.into(),
            sync: SqliteSync::Full,
        }
    }

    /// Reads `sqlite:<path>`, `sqlite://<path>`, or `postgres://…` (also `postgresql://…`).
    ///
    /// # Errors
    /// [`StoreError::Config`], which never repeats the text: it may have a password in it.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        let config = |problem: &str| StoreError::Config(problem.into());
        if let Some(rest) = text.strip_prefix("sqlite:") {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            let path = path.split('?').next().unwrap_or(path);
            if path.is_empty() || path == ":memory:" {
                return Err(config(
                    "a database in memory would be lost at the end; name a file, for example \
                     sqlite:///var/lib/agentopia/agentopia.db",
                ));
            }
            return Ok(Self::sqlite(Path::new(path)));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            // The parser's own message may repeat the password.
            PgConnectOptions::from_str(text).map_err(|_| {
                config(
                    "the PostgreSQL address is malformed; use \
                     postgres://user:password@host:5432/database with special characters in the \
                     password percent-encoded",
                )
            })?;
            return Ok(Self::Postgres {
                url: SecretString::from(text),
                max_connections: DEFAULT_MAX_CONNECTIONS,
            });
        }
        Err(config(
            "its address begins with neither sqlite: nor postgres://",
        ))
    }

    /// The same with another limit of connections; SQLite ignores it.
    #[must_use]
    pub fn with_max_connections(mut self, limit: u32) -> Self {
        if let Self::Postgres {
            max_connections, ..
        } = &mut self
        {
            *max_connections = limit.max(2);
        }
        self
    }

    /// The host and database, or the file, for logs: never the password.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Sqlite { path, .. } => format!("SQLite file {}", path.display()),
            Self::Postgres { url, .. } => match PgConnectOptions::from_str(url.expose_secret()) {
                Ok(options) => format!(
                    "PostgreSQL database {} on {}:{}",
                    options.get_database().unwrap_or("(default)"),
                    options.get_host(),
                    options.get_port()
                ),
                Err(_) => "PostgreSQL".into(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_described_without_the_password() {
        let config = DatabaseConfig::parse("postgres://me:hunter2@db.example:5433/app").unwrap();
        assert_eq!(
            config.describe(),
            "PostgreSQL database app on db.example:5433"
        );
        assert!(!format!("{config:?}").contains("hunter2"));
        for (text, path) in [
            ("sqlite:///var/x.db", "/var/x.db"),
            ("sqlite:x.db?mode=rwc", "x.db"),
        ] {
            match DatabaseConfig::parse(text).unwrap() {
                DatabaseConfig::Sqlite { path: got, .. } => assert_eq!(got, Path::new(path)),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn what_can_not_be_used_is_refused_without_being_repeated() {
        for bad in [
            "mysql://me:hunter2@x/y",
            "sqlite::memory:",
            "postgres://me:hunter2@host:notaport/db",
            "",
        ] {
            let error = DatabaseConfig::parse(bad).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}

//! From what people find about MCP servers to catalog entries, and back (TOOL-2). Pure: nothing is read
//! but the texts that are handed in, nothing is asked of anybody.
//!
//! What comes in: [`source::Source`] is what a person names; [`document::read`] takes a pasted or fetched
//! text apart (`mcpServers` of clients, `server.json` of the MCP Registry, a page of a registry);
//! [`image::draft`] and [`package::draft`] make an entry of a name alone. What comes out is a
//! [`Draft`]: a definition, what a person should know about it, and what has to be looked up before it
//! is complete. [`publish`] is the other direction, and [`lint`] looks at what a person wrote.
//!
//! Two rules hold everywhere: a value that looks like a secret is never kept, and nothing that a tool
//! asks for and never gets (privileges, devices, the network of the host) is dropped without a word.

mod args;
mod build;
pub mod document;
mod env;
pub mod image;
pub mod lint;
mod looks;
mod mcp_servers;
pub mod package;
pub mod publish;
pub mod server_json;
pub mod source;
mod words;

use agentopia_domain::catalog::package::PackageRegistry;
use agentopia_domain::catalog::{CatalogDefinition, Transport};

/// The longest text that is read.
pub const MAX_DOCUMENT: usize = 8 << 20;
/// The most arguments or variables that one server may have.
const MAX_INPUTS: usize = 200;

/// Why something can't be imported, and what to do instead. It never repeats a value that could be a
/// secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Problem(pub String);

impl Problem {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// A catalog entry that nobody has saved yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// The entry.
    pub definition: CatalogDefinition,
    /// What was decided for the person and what was left out, a sentence each.
    pub notes: Vec<String>,
    /// What has to be asked before it is complete, or should be where that is possible.
    pub lookup: Option<Lookup>,
    /// Whether an image told itself how it speaks.
    transport_is_labelled: bool,
}

/// What the text alone does not tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// Which version of a package there is; the definition's is a place holder until then.
    Package {
        /// In which kind of registry.
        registry: PackageRegistry,
        /// The package.
        name: String,
        /// The version or tag that was asked for; the latest unless given.
        wanted: Option<String>,
    },
    /// What an image says of itself.
    Image {
        /// Which image.
        reference: image::Reference,
        /// Whether a person said how it speaks.
        transport_is_told: bool,
    },
}

/// One server of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// What the document calls it.
    pub name: String,
    /// The entry, or why there can be none.
    pub outcome: Result<Draft, Problem>,
}

/// What a person decides beforehand.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    /// Which form is taken where a server has several.
    pub form: Option<Form>,
    /// How it speaks, where that is not said.
    pub transport: Option<Transport>,
}

/// The forms in which a server can come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A container image.
    Oci,
    /// A package for Node.
    Npm,
    /// A package for Python.
    Pypi,
    /// An address.
    Remote,
}

impl Form {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Oci => "oci",
            Self::Npm => "npm",
            Self::Pypi => "pypi",
            Self::Remote => "remote",
        }
    }
}

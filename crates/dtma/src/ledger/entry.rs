//! The format of one ledger file.

use agentopia_domain::InstanceId;
use agentopia_domain::spec::InstanceSpec;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The format written today. Fields are only ever added with a default.
const FORMAT: u32 = 1;

/// What is known of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// The desired state; also of an instance that is wanted gone and not gone yet.
    Wanted(Box<InstanceSpec>),
    /// It is gone.
    Removed(Tombstone),
}

impl Entry {
    /// The generation of the spec, or of the one that took it away.
    #[must_use]
    pub fn generation(&self) -> i64 {
        match self {
            Self::Wanted(spec) => spec.generation,
            Self::Removed(tombstone) => tombstone.generation,
        }
    }
}

/// What is left of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// The generation of the spec that took it away.
    pub generation: i64,
    /// When it was gone, by this machine's clock.
    pub at: DateTime<Utc>,
    /// Whether its data went too.
    #[serde(default)]
    pub purged: bool,
}

/// A file's content.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    format: u32,
    instance_id: InstanceId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spec: Option<Box<InstanceSpec>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    removed: Option<Tombstone>,
}

impl Record {
    /// Reads the file of `id`.
    pub(super) fn parse(content: &[u8], id: InstanceId) -> Result<Entry, String> {
        let record: Self = serde_json::from_slice(content).map_err(|error| error.to_string())?;
        if record.format != FORMAT {
            return Err(format!("its format {} is unknown", record.format));
        }
        if record.instance_id != id {
            return Err(format!("it is about instance {}", record.instance_id));
        }
        match (record.spec, record.removed) {
            (Some(spec), None) if spec.instance_id == id => Ok(Entry::Wanted(spec)),
            (None, Some(tombstone)) => Ok(Entry::Removed(tombstone)),
            _ => Err("it has neither one spec of its instance nor one tombstone".to_owned()),
        }
    }

    /// Writes the file of `id`.
    pub(super) fn render(id: InstanceId, entry: &Entry) -> Vec<u8> {
        let (spec, removed) = match entry {
            Entry::Wanted(spec) => (Some(spec.clone()), None),
            Entry::Removed(tombstone) => (None, Some(*tombstone)),
        };
        let record = Self {
            format: FORMAT,
            instance_id: id,
            spec,
            removed,
        };
        // A spec is strings, numbers and maps with string keys: it always has a JSON form.
        serde_json::to_vec_pretty(&record).unwrap_or_default()
    }
}

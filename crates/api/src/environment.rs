//! The one machine of an account (ENV-1 to ENV-3, OPS-2).

use std::net::IpAddr;

use agentopia_domain::environment::{
    DesiredEnvironment, EnvironmentStatus, ProviderKind, Scaling, ScalingPhase,
};
use agentopia_domain::metrics::{StoredUsage, Usage};
use agentopia_domain::resources::Capacity;
use agentopia_domain::{EnvironmentId, InstanceId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// An environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Environment {
    /// Its id.
    pub id: EnvironmentId,
    /// Where its machine comes from.
    pub provider: ProviderKind,
    /// What the account wants.
    pub desired: DesiredEnvironment,
    /// Where it stands.
    pub status: EnvironmentStatus,
    /// The provider's id of the machine.
    pub machine_id: Option<String>,
    /// Its address.
    #[schema(value_type = Option<String>)]
    pub ip_address: Option<IpAddr>,
    /// The port on which its DTMA answers.
    pub dtma_port: Option<u16>,
    /// The provider's region.
    pub region: Option<String>,
    /// The provider's size.
    pub size: Option<String>,
    /// The provider's image.
    pub image: Option<String>,
    /// The change of size that is under way, while the status is `scaling`.
    pub scaling: Option<EnvironmentScaling>,
    /// What the machine costs a month as long as it exists, in US cents; `null` where it costs
    /// nothing by itself, or there is none.
    pub monthly_price_cents: Option<u32>,
    /// When the provider says the machine was made.
    pub provider_created_at: Option<DateTime<Utc>>,
    /// When its DTMA was last heard.
    pub last_heartbeat_at: Option<DateTime<Utc>>,
    /// What went wrong last.
    pub error_message: Option<String>,
    /// What is not as it was wanted although the machine serves, and what to do about it.
    #[serde(default)]
    pub notice: Option<String>,
    /// The version of its DTMA.
    pub dtma_version: Option<String>,
    /// How it runs tools: `docker` or `process`.
    pub runtime: Option<String>,
    /// What the machine has.
    pub capacity: Option<Capacity>,
    /// When the record was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl From<agentopia_domain::environment::Environment> for Environment {
    fn from(environment: agentopia_domain::environment::Environment) -> Self {
        Self {
            id: environment.id,
            provider: environment.provider,
            desired: environment.desired,
            status: environment.status,
            machine_id: environment.machine_id,
            ip_address: environment.ip_address,
            dtma_port: environment.dtma_port,
            region: environment.region,
            size: environment.size,
            image: environment.image,
            scaling: environment.scaling.map(Into::into),
            monthly_price_cents: environment.monthly_price_cents,
            provider_created_at: environment.provider_created_at,
            last_heartbeat_at: environment.last_heartbeat_at,
            error_message: environment.error_message,
            notice: environment.notice.map(|notice| notice.text),
            dtma_version: environment.dtma_version,
            runtime: environment.runtime,
            capacity: environment.capacity,
            created_at: environment.created_at,
            updated_at: environment.updated_at,
        }
    }
}

/// A change of size that is under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EnvironmentScaling {
    /// The size that it had.
    pub from: Option<String>,
    /// The size that is wanted.
    pub to: String,
    /// Where it stands.
    pub phase: ScalingPhase,
    /// Since when it stands there.
    pub phase_since: DateTime<Utc>,
    /// What is being done, for people who wait.
    pub progress: String,
    /// Why it will end with the old size, once that is so.
    pub failure: Option<String>,
}

impl From<Scaling> for EnvironmentScaling {
    fn from(scaling: Scaling) -> Self {
        Self {
            from: scaling.from,
            to: scaling.to,
            phase: scaling.phase,
            phase_since: scaling.phase_since,
            progress: scaling.phase.progress().to_owned(),
            failure: scaling.failure,
        }
    }
}

/// The sizes that the account's machine can have, the cheapest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EnvironmentSizes {
    /// Empty where there is nothing to choose, as with the provider `local`.
    pub sizes: Vec<EnvironmentSize>,
}

/// A size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EnvironmentSize {
    /// The provider's name for it.
    pub name: String,
    /// Processors.
    pub vcpus: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// The disk of a new machine of this size, in bytes. A machine keeps its disk when its size
    /// changes.
    pub disk_bytes: u64,
    /// What a month costs, in US cents.
    pub monthly_price_cents: u32,
    /// Whether the machine has it.
    pub is_current: bool,
    /// Why it can't be chosen now, with what to do; `null` where it can.
    pub obstacle: Option<String>,
}

/// Gives the machine another size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScaleEnvironmentRequest {
    /// The size, by its name.
    #[schema(min_length = 1, max_length = 100)]
    pub size: String,
}

/// The account's environment, if it ever had one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EnvironmentAnswer {
    /// `null` when the account never enabled one.
    pub environment: Option<Environment>,
}

/// Turns the environment on. Already on: nothing happens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnableEnvironmentRequest {
    /// The provider's region; the operator's default unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The provider's size; the operator's default unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// The provider's image; the operator's default unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

/// Which measurements are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UsageQuery {
    /// How far back, in seconds; an hour unless given, at most a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 86_400)]
    pub since_seconds: Option<u64>,
    /// Of one instance; of the machine itself unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<InstanceId>,
}

/// Measurements, oldest first, at most 1,000: more are thinned out evenly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UsageSeries {
    /// What the machine has, to compare with.
    pub capacity: Option<Capacity>,
    /// The measurements.
    pub samples: Vec<UsageSample>,
}

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UsageSample {
    /// When.
    pub at: DateTime<Utc>,
    /// Of which instance; `null` for the machine itself.
    pub instance_id: Option<InstanceId>,
    /// What was measured.
    #[serde(flatten)]
    pub usage: Usage,
}

impl From<StoredUsage> for UsageSample {
    fn from(stored: StoredUsage) -> Self {
        Self {
            at: stored.at,
            instance_id: stored.instance_id,
            usage: stored.usage,
        }
    }
}

//! Clusters of real processes for tests of the whole product: the control plane, the DTMA that it
//! starts, tools under Docker or as child processes, on SQLite or PostgreSQL. Nothing is mocked.
//!
//! A test reads as a story:
//!
//! ```no_run
//! # async fn test() -> anyhow::Result<()> {
//! use agentopia_test_support::{Cluster, Database, Runtime};
//!
//! let cluster = Cluster::local().runtime(Runtime::Docker).database(Database::Sqlite).start().await?;
//! let echo = cluster.deploy("echo").await?;
//! let agent = cluster.agent_with("helper", &[echo.id]).await?;
//! let said = agent.call("echo", serde_json::json!({"text": "hello"})).await?;
//! assert_eq!(said.text(), "hello");
//! cluster.finish().await
//! # }
//! ```
//!
//! [`Cluster::finish`] turns every environment off and fails if anything is left: containers,
//! networks, volumes, processes, sockets, directories ([`leaks`]). A cluster that is dropped
//! without it belongs to a test that failed: its logs are printed (`AGENTOPIA_TEST_SHOW_LOGS=1` prints
//! those of every test), and it is cleaned up by force.
//!
//! [`DropletCluster`] is the same with machines of their own.
//!
//! Look next at [`cluster`], then [`api`] (the product's HTTP API), [`mcp`] (agents' endpoints),
//! [`machine`] (whom to kill), [`wait`] (never sleep: wait for a condition).

pub mod agent;
pub mod api;
pub mod binaries;
pub mod canary;
pub mod cli;
pub mod cluster;
pub mod control_plane;
pub mod docker;
pub mod droplet;
pub mod droplets;
pub mod fixtures;
pub mod leaks;
pub mod machine;
pub mod mcp;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod simulator;
pub mod small_disk;
pub mod wait;

pub use agent::TestAgent;
pub use api::{Api, ApiError};
pub use cluster::{Cluster, ClusterBuilder, Database, Runtime};
pub use droplet::Droplet;
pub use droplets::DropletCluster;
pub use wait::wait_for;

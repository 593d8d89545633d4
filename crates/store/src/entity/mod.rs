//! One file a table. Entities never leave this crate: each noun's file turns them into domain types.

pub(crate) mod agent;
pub(crate) mod api_token;
pub(crate) mod call;
pub(crate) mod catalog_entry;
pub(crate) mod dtma_credential;
pub(crate) mod environment;
pub(crate) mod event;
pub(crate) mod grant;
pub(crate) mod grant_token;
pub(crate) mod installation_job;
pub(crate) mod instance;
pub(crate) mod instance_secret;
pub(crate) mod link;
pub(crate) mod link_secret;
pub(crate) mod metric_sample;
pub(crate) mod oauth_client;
pub(crate) mod orphan;
pub(crate) mod registry_login;
pub(crate) mod secret;
pub(crate) mod session;
pub(crate) mod system_secret;
pub(crate) mod throttle;
pub(crate) mod user;

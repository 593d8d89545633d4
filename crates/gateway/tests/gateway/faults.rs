//! Servers that fail harm nobody else: rules 15, 16, 17.

mod answers;
mod down;
mod leaving;
mod lost;

use std::time::Duration;

use agentopia_domain::Ambient;
use agentopia_gateway::GatewayConfig;

use crate::rig::Rig;

const DEADLINE: Duration = Duration::from_millis(700);

async fn impatient() -> Rig {
    let config = GatewayConfig {
        fan_out_deadline: DEADLINE,
        first_contact_deadline: DEADLINE,
        ..GatewayConfig::default()
    };
    Rig::with(config, Ambient::system()).await
}

/// Nobody listens there.
async fn dead_url() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}/mcp", listener.local_addr().unwrap())
}

async fn forever() -> axum::response::Response {
    std::future::pending().await
}

//! What an operator can set of the gateway, with defaults that suit one machine.

use std::time::Duration;

use crate::limits::CallLimits;

/// Limits and deadlines of the gateway.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// Names under which clients may call us (the `Host` header), without or with a port; an entry
    /// without a port fits any port. Stops DNS rebinding.
    pub allowed_hosts: Vec<String>,
    /// Origins (`https://console.example.com`) from which browsers may call us. A request without
    /// an `Origin` header does not come from a browser and passes.
    pub allowed_origins: Vec<String>,
    /// The address under which clients reach us, without a slash at its end. Clients without a token
    /// are told to look there how to get one (RFC 9728); without it they are told nothing.
    pub public_url: Option<String>,
    /// The longest request body, bytes; more is answered with 413.
    pub max_body_bytes: usize,
    /// The longest message that an upstream may send, bytes; more ends that call with an error.
    pub max_upstream_message_bytes: usize,
    /// How long a list waits for its slowest upstream (rule 16).
    pub fan_out_deadline: Duration,
    /// The same for upstreams that this client has no connection with yet: one that is missing in a
    /// client's first list is one that it may never know of, and Python servers take up to 10 s to
    /// start when several do at once. Clients wait for 60 s (the official SDKs' default). An upstream
    /// that could not be reached the last time is waited for no longer than others.
    pub first_contact_deadline: Duration,
    /// How long an upstream may take to answer its handshake. Generous: Python servers took 6.4 s.
    pub handshake_timeout: Duration,
    /// How long an upstream that could not be reached several times in a row is left alone at first.
    pub breaker_rest: Duration,
    /// How long a call waits for a server that was asleep.
    pub wake_timeout: Duration,
    /// How often it is told which servers are used; shorter than a third of the shortest idle time.
    pub use_interval: Duration,
    /// How long a call may go without a sign of life from its upstream.
    pub call_idle_timeout: Duration,
    /// The largest number of pages drained from one upstream for one list.
    pub max_list_pages: usize,
    /// How many calls may be made in a minute; 429 beyond.
    pub calls: CallLimits,
    /// Sessions an agent (or a person on an instance) may have open at once; 503 beyond.
    pub max_sessions_per_principal: usize,
    /// Standing streams (`subscriptions/listen`) a principal may have open at once.
    pub max_listeners_per_principal: usize,
    /// When a session that nobody uses ends.
    pub session_idle: Duration,
    /// How often a comment line is sent on a quiet stream, so that middle boxes keep it open.
    pub keep_alive: Duration,
    /// For how long a client may show the state of a server that asked back (2026-07-28): its people
    /// may have to be found first.
    pub request_state_lifetime: Duration,
    /// Messages kept for a session whose client has no stream open at the moment.
    pub outbox_messages: usize,
    /// Audit records that may wait to be written.
    pub audit_queue: usize,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            allowed_hosts: ["localhost", "127.0.0.1", "[::1]"]
                .map(str::to_owned)
                .into(),
            allowed_origins: Vec::new(),
            public_url: None,
            max_body_bytes: 4 << 20,
            max_upstream_message_bytes: 16 << 20,
            fan_out_deadline: Duration::from_secs(5),
            first_contact_deadline: Duration::from_secs(20),
            handshake_timeout: Duration::from_secs(30),
            breaker_rest: Duration::from_secs(5),
            wake_timeout: Duration::from_mins(1),
            use_interval: Duration::from_secs(10),
            call_idle_timeout: Duration::from_mins(5),
            max_list_pages: 100,
            calls: CallLimits::default(),
            max_sessions_per_principal: 1_000,
            max_listeners_per_principal: 100,
            session_idle: Duration::from_mins(30),
            keep_alive: Duration::from_secs(15),
            request_state_lifetime: Duration::from_hours(1),
            outbox_messages: 256,
            audit_queue: 8_192,
        }
    }
}

impl GatewayConfig {
    /// Whether clients reach us by HTTPS, as far as the operator says.
    pub(crate) fn is_https(&self) -> bool {
        let url = self.public_url.as_deref();
        url.is_some_and(|url| url.starts_with("https://"))
    }
}

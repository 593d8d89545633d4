//! Tests of the whole product. They stand in `tests/`: `system_*` needs Docker Engine, the registry
//! and PostgreSQL of `script/services`; `mcp_*` needs the clients of `script/peers` as well.
//! `script/test system` and `script/test mcp` set all of that up.
//!
//! Here is what drives the official MCP clients ([`peers`]), signs in for them ([`browser`]) and lets in what can't show a token ([`door`]),
//! and kills parts at every step ([`steps`], [`engine`]); everything else that tests share is in `agentopia-test-support`.

pub mod browser;
pub mod door;
pub mod engine;
pub mod peers;
pub mod steps;
pub mod talker;

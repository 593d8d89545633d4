//! Tests of the whole product. They stand in `tests/`: `system_*` needs Docker Engine, the registry
//! and PostgreSQL of `script/services`; `mcp_*` needs the clients of `script/peers` as well.
//! `script/test system` and `script/test mcp` set all of that up.
//!
//! Here is only what drives the official MCP clients ([`peers`]); everything else that tests share
//! is in `agentopia-test-support`.

pub mod peers;

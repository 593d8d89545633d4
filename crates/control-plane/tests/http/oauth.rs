//! Browser logins of MCP clients, by HTTP, with the pages' forms filled in as a browser would.

mod attacks;
mod browser;
mod documents;
mod flow;
mod grants;
mod tokens;

//! An agent's many servers as one.
//!
//! `list` asks all of them at once, `names` keeps what their tools and prompts are called (rule 7),
//! `resolve` finds the one that a call is for, `uris` matches resource templates, `about` says what
//! the whole can do.

pub(crate) mod about;
pub(crate) mod list;
pub(crate) mod names;
pub(crate) mod resolve;
mod uris;

pub(crate) use about::own_info;

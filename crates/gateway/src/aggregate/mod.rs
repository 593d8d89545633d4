//! An agent's many servers as one.
//!
//! `list` asks all of them at once, `names` keeps what their tools and prompts are called (rule 7),
//! `failures` tells of those that failed, `resolve` finds the one that a call is for, `missing` says what
//! is the matter where there is none, `uris` matches resource templates, `about` says what the whole
//! can do.

pub(crate) mod about;
pub(crate) mod failures;
pub(crate) mod list;
mod missing;
pub(crate) mod names;
pub(crate) mod resolve;
mod uris;

pub(crate) use about::own_info;

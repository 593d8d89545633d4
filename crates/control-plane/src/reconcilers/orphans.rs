//! The search for orphans (ENV-8): things at the provider that carry this installation's mark and
//! belong to no environment. They are told of; those that prove to be ours are removed where the
//! operator wants that. One replica searches at a time.

mod apply;
pub mod plan;

pub use apply::OrphanSearch;

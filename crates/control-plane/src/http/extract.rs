//! What handlers take from a request. Each refuses with a problem document, so that no handler
//! sees input that is not of its type.

mod body;
mod call;
mod params;
mod path;

pub use body::Body;
pub use call::{Call, PublicCall, RequestMeta};
pub use params::Params;
pub use path::{PathId, PathIds, PathText, PathTexts};

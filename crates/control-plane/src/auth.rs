//! Who is calling and what they may do.
//!
//! [`authenticate`] runs before every handler: it looks the operation up in [`permission`], finds
//! the [`caller`] by session cookie or bearer token, and refuses with a problem document or lets
//! the request through. [`password`], [`session`], [`csrf`], [`setup`], [`sign_in`] and
//! [`throttle`] are what signing in is made of; [`internal`] is the service-to-service secret.

pub mod authenticate;
pub mod caller;
pub mod csrf;
pub mod internal;
pub mod password;
pub mod permission;
pub mod session;
pub mod setup;
pub mod sign_in;
pub mod throttle;

//! What every request passes on its way in and every answer on its way out, outermost first:
//! [`context`] (id, address, span), [`problems`] (refusals get the id and are logged),
//! [`security`] (headers; hosts and origins), [`deadline`] (API only).

pub mod context;
pub mod deadline;
pub mod problems;
pub mod security;

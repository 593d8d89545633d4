//! Multi round trips (rule 10): a modern server may answer with questions and a state, which the client
//! shows when it repeats its request with the answers. On its way through the client the state is
//! sealed: it opens for the principal, server, method and parameters that it was given for, and for a
//! while; and the server gets back what it gave, byte for byte.

use agentopia_mcp::{Envelope, Era, Field, Json, RpcError, method};
use sha2::{Digest as _, Sha256};

use super::Asking;
use crate::aggregate::resolve::Hop;
use crate::core::Core;

/// Methods whose servers may ask back.
pub(super) const MAY_ASK: [&str; 3] = [
    method::TOOLS_CALL,
    method::PROMPTS_GET,
    method::RESOURCES_READ,
];
/// Parameters that may be others when the request is repeated.
const NEW_EACH_TIME: [&str; 3] = ["_meta", "requestState", "inputResponses"];
/// How many bytes of a sealed state say when it ends.
const EXPIRY: usize = 8;

/// A request whose server may ask back.
#[derive(Debug, Clone)]
pub(super) struct Trip {
    message: Envelope,
    /// Whose it is and where it goes.
    bound_to: String,
}

impl Trip {
    /// `None` where nothing can be asked back.
    pub(super) fn of(asking: &Asking<'_>, hop: &Hop) -> Option<Self> {
        let called = asking.message.method();
        let may_ask = asking.client.hello.era == Era::Modern && MAY_ASK.contains(&&*called);
        may_ask.then(|| Self {
            message: asking.message.clone(),
            bound_to: format!(
                "state {} {} {called}",
                asking.client.principal.owner_key(),
                hop.route.id
            ),
        })
    }

    /// What the client is to show in place of a server's state.
    pub(super) fn seal(&self, core: &Core, state: &Json<'_>) -> Option<String> {
        let lifetime = i64::try_from(core.config.request_state_lifetime.as_secs()).ok()?;
        let mut plain = core
            .now_seconds()
            .saturating_add(lifetime)
            .to_le_bytes()
            .to_vec();
        plain.extend_from_slice(state.as_bytes());
        let sealer = core.clients.sealer();
        sealer.seal_for(&self.binding(), &plain, &core.ambient)
    }

    /// The server's state in what the client shows. `Ok(None)` where it shows none.
    ///
    /// # Errors
    /// For one that was not given for this request, or is over.
    pub(super) fn open(&self, core: &Core) -> Result<Option<Json<'static>>, RpcError> {
        let refused = || {
            RpcError::invalid_params(
                "this requestState is not (any more) one of this request; make the request anew",
            )
        };
        let Some(shown) = self.message.raw(Field::ParamsRequestState) else {
            return Ok(None);
        };
        let text = shown.text().ok_or_else(refused)?;
        let sealer = core.clients.sealer();
        let plain = sealer
            .open_for(&self.binding(), &text)
            .ok_or_else(refused)?;
        let (expiry, state) = plain.split_first_chunk::<EXPIRY>().ok_or_else(refused)?;
        if i64::from_le_bytes(*expiry) < core.now_seconds() {
            return Err(refused());
        }
        let state = Json::parse(state).map_err(|_| refused())?;
        Ok(Some(state.into_owned()))
    }

    fn binding(&self) -> String {
        format!("{} {}", self.bound_to, hex::encode(self.digest()))
    }

    /// Of the parameters that stay, whatever order and spaces they are written with.
    fn digest(&self) -> [u8; 32] {
        let params = self.message.raw(Field::Params);
        let params = params.and_then(|raw| serde_json::from_slice(raw.as_bytes()).ok());
        let mut params: serde_json::Map<String, serde_json::Value> = params.unwrap_or_default();
        params.retain(|key, _| !NEW_EACH_TIME.contains(&key.as_str()));
        let mut params = serde_json::Value::Object(params);
        params.sort_all_objects();
        Sha256::digest(params.to_string()).into()
    }
}

//! Multi round trips (rule 10): a modern server may answer with questions and a state, which the client
//! shows when it repeats its request with the answers. On its way through the client the state is
//! sealed: it opens for the principal, server, method and parameters that it was given for, and for a
//! while; and the server gets back what it gave, byte for byte.

use agentopia_domain::InstanceId;
use agentopia_mcp::{Envelope, Era, Field, Json, RpcError, method};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::Asking;
use super::suspended::Handle;
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
/// What is sealed: a modern server's state, or a call of a session-era one that waits here.
const STATE: &str = "state";
const HANDLE: &str = "suspended call";
/// How many bytes of a sealed state say when it ends.
const EXPIRY: usize = 8;

/// A request whose server may ask back.
#[derive(Debug, Clone)]
pub(super) struct Trip {
    message: Envelope,
    method: &'static str,
    owner: Uuid,
    instance: InstanceId,
}

impl Trip {
    /// `None` where nothing can be asked back.
    pub(super) fn of(asking: &Asking<'_>, hop: &Hop) -> Option<Self> {
        if asking.client.hello.era != Era::Modern {
            return None;
        }
        let called = asking.message.method();
        let method = MAY_ASK.into_iter().find(|method| *method == called)?;
        Some(Self {
            message: asking.message.clone(),
            method,
            owner: asking.client.principal.owner_key(),
            instance: hop.route.id,
        })
    }

    /// The same for one that shows a state.
    pub(super) fn repeated(asking: &Asking<'_>, hop: &Hop) -> Option<Self> {
        let shows = asking.message.has(Field::ParamsRequestState);
        shows.then(|| Self::of(asking, hop)).flatten()
    }

    /// What the client is to show in place of a server's state.
    pub(super) fn seal(&self, core: &Core, state: &Json<'_>) -> Option<String> {
        self.seal_as(core, STATE, state.as_bytes())
    }

    /// The same for a call that waits here.
    pub(super) fn seal_handle(&self, core: &Core, handle: &Handle) -> Option<String> {
        self.seal_as(core, HANDLE, handle)
    }

    fn seal_as(&self, core: &Core, what: &str, inside: &[u8]) -> Option<String> {
        let lifetime = i64::try_from(core.config.request_state_lifetime.as_secs()).ok()?;
        let ends = core.now_seconds().saturating_add(lifetime);
        let mut plain = ends.to_le_bytes().to_vec();
        plain.extend_from_slice(inside);
        let sealer = core.clients.sealer();
        sealer.seal_for(&self.binding(what), &plain, &core.ambient)
    }

    /// The server's state in what the client shows. `Ok(None)` where it shows none.
    ///
    /// # Errors
    /// For one that was not given for this request, or is over.
    pub(super) fn open(&self, core: &Core) -> Result<Option<Json<'static>>, RpcError> {
        if !self.message.has(Field::ParamsRequestState) {
            return Ok(None);
        }
        let state = self.open_as(core, STATE).ok_or_else(Self::refused)?;
        let state = Json::parse(&state).map_err(|_| Self::refused())?;
        Ok(Some(state.into_owned()))
    }

    /// The call that waits here for what the client shows.
    pub(super) fn handle(&self, core: &Core) -> Option<Handle> {
        self.open_as(core, HANDLE)?.try_into().ok()
    }

    /// What to say of a state that opens nothing.
    pub(super) fn refused() -> RpcError {
        RpcError::invalid_params(
            "this requestState is not (any more) one of this request; make the request anew",
        )
    }

    fn open_as(&self, core: &Core, what: &str) -> Option<Vec<u8>> {
        let shown = self.message.raw(Field::ParamsRequestState)?;
        let sealer = core.clients.sealer();
        let plain = sealer.open_for(&self.binding(what), &shown.text()?)?;
        let (ends, inside) = plain.split_first_chunk::<EXPIRY>()?;
        (i64::from_le_bytes(*ends) >= core.now_seconds()).then(|| inside.to_vec())
    }

    fn binding(&self, what: &str) -> String {
        let (owner, instance, method) = (self.owner, self.instance, self.method);
        let digest = hex::encode(self.digest());
        format!("{what} {owner} {instance} {method} {digest}")
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

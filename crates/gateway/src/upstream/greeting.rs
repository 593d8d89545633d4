//! How a server introduced itself: its answer to `initialize` or `server/discover`, and what is asked of that
//! again and again.

use agentopia_mcp::{Capabilities, Envelope, Era, Field, Json, Limits};

use crate::clients::empty_object;

/// See the module's header. Shared by all sessions that were greeted the same (`shelf`).
#[derive(Debug)]
pub(crate) struct Greeting {
    era: Era,
    /// `None` if a modern server refused to discover.
    said: Option<Box<[u8]>>,
    pub(crate) capabilities: Capabilities,
    /// For every answer of a session-era server to a modern client.
    server_info: Json<'static>,
}

impl Greeting {
    pub(crate) fn new(era: Era, said: Option<&Envelope>) -> Self {
        Self {
            era,
            capabilities: capabilities(said),
            server_info: server_info(era, said),
            // In memory of its own: it is kept, and what came is a slice of a read buffer of several KiB.
            said: said.map(|said| said.bytes().into()),
        }
    }

    /// Whether it is the very same, to the last byte.
    pub(crate) fn is(&self, era: Era, said: Option<&Envelope>) -> bool {
        self.era == era && self.said.as_deref() == said.map(Envelope::bytes)
    }

    /// The answer itself. Scanned anew each time: it is asked for seldom.
    pub(crate) fn hello(&self) -> Option<Envelope<&[u8]>> {
        let limits = Limits {
            max_bytes: u32::MAX as usize,
            ..Limits::default()
        };
        Envelope::scan(self.said.as_deref()?, &limits).ok()
    }

    /// Advice for the model, if the server gave any.
    pub(crate) fn instructions(&self) -> Option<Json<'static>> {
        let hello = self.hello()?;
        Some(hello.raw(Field::ResultInstructions)?.into_owned())
    }

    /// `serverInfo`, wherever its era puts it.
    pub(crate) fn server_info(&self) -> Json<'_> {
        self.server_info.borrowed()
    }
}

fn capabilities(said: Option<&Envelope>) -> Capabilities {
    let mut capabilities = Capabilities::default();
    match said {
        Some(said) => {
            let raw = said.raw(Field::ResultCapabilities);
            capabilities.merge(&raw.unwrap_or_else(empty_object));
        }
        // It did not say: assume everything and let it refuse.
        None => {
            for key in ["tools", "resources", "prompts", "completions"] {
                capabilities.set(&[key], empty_object());
            }
        }
    }
    capabilities
}

fn server_info(era: Era, said: Option<&Envelope>) -> Json<'static> {
    let field = match era {
        Era::Session => Field::ResultServerInfo,
        Era::Modern => Field::ResultMetaServerInfo,
    };
    said.and_then(|said| said.raw(field))
        .filter(Json::is_object)
        .map_or_else(crate::aggregate::own_info, Json::into_owned)
}

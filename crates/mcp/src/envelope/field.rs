//! The members of a message that anything in the product routes on or changes.
//!
//! One table: parent, key. The scan records where each one stands; every other member is only
//! checked and passed on. To route on something new, add a line here.

/// A place in an MCP message.
macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident = $parent:ident, $key:literal;)*) => {
        /// A member of a message that the scan records: `ParamsName` is `params.name`, and so on.
        ///
        /// Keys that are given twice in their object make a message unacceptable: two readers could
        /// act on different ones.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Field {
            /// The message itself.
            Message,
            $($(#[$doc])* $name,)*
        }

        impl Field {
            pub(crate) const ALL: &[Self] = &[Self::Message, $(Self::$name,)*];
            pub(crate) const COUNT: usize = Self::ALL.len();

            /// The object that this member stands in; the message stands in itself.
            #[must_use]
            pub const fn parent(self) -> Self {
                match self { Self::Message => Self::Message, $(Self::$name => Self::$parent,)* }
            }

            /// The member's key; empty for the message itself.
            #[must_use]
            pub const fn key(self) -> &'static str {
                match self {
                    Self::Message => "",
                    $(Self::$name => match std::str::from_utf8($key) { Ok(key) => key, Err(_) => "" },)*
                }
            }

            /// The recorded member of `parent` with this (decoded) key.
            #[inline]
            pub(crate) fn of(parent: Self, key: &[u8]) -> Option<Self> {
                match (parent, key) { $((Self::$parent, $key) => Some(Self::$name),)* _ => None }
            }
        }
    };
}

fields! {
    /// `"2.0"`.
    Jsonrpc = Message, b"jsonrpc";
    /// Request id; see [`crate::Envelope::id`].
    Id = Message, b"id";
    /// Method; see [`crate::Envelope::method`].
    Method = Message, b"method";
    /// Parameters.
    Params = Message, b"params";
    /// Result of a response.
    Result = Message, b"result";
    /// Error of an error response.
    Error = Message, b"error";

    /// Tool or prompt: tools/call, prompts/get.
    ParamsName = Params, b"name";
    /// Resource: resources/read, subscribe, unsubscribe, notifications/resources/updated.
    ParamsUri = Params, b"uri";
    /// Task: tasks/get, update, cancel; notifications/tasks.
    ParamsTaskId = Params, b"taskId";
    /// Page: every `…/list`.
    ParamsCursor = Params, b"cursor";
    /// State of a multi round trip, sent back verbatim (2026-07-28).
    ParamsRequestState = Params, b"requestState";
    /// Answers of a multi round trip (2026-07-28).
    ParamsInputResponses = Params, b"inputResponses";
    /// Arguments of tools/call, prompts/get.
    ParamsArguments = Params, b"arguments";
    /// Prompt or resource template that completion/complete is about.
    ParamsRef = Params, b"ref";
    /// Protocol-level metadata.
    ParamsMeta = Params, b"_meta";
    /// Version asked for by initialize.
    ParamsProtocolVersion = Params, b"protocolVersion";
    /// Client capabilities in initialize.
    ParamsCapabilities = Params, b"capabilities";
    /// Who the client is, in initialize.
    ParamsClientInfo = Params, b"clientInfo";
    /// logging/setLevel.
    ParamsLevel = Params, b"level";
    /// The request that notifications/cancelled is about.
    ParamsRequestId = Params, b"requestId";
    /// The token that notifications/progress is about.
    ParamsProgressToken = Params, b"progressToken";
    /// Filter of subscriptions/listen and its acknowledgement (2026-07-28).
    ParamsNotifications = Params, b"notifications";

    /// `ref/prompt` or `ref/resource`.
    RefType = ParamsRef, b"type";
    /// Prompt of a completion.
    RefName = ParamsRef, b"name";
    /// Resource template of a completion.
    RefUri = ParamsRef, b"uri";

    /// Asks for progress under this token.
    MetaProgressToken = ParamsMeta, b"progressToken";
    /// Marks a modern request.
    MetaProtocolVersion = ParamsMeta, b"io.modelcontextprotocol/protocolVersion";
    /// Capabilities of the client, with every modern request.
    MetaClientCapabilities = ParamsMeta, b"io.modelcontextprotocol/clientCapabilities";
    /// Who the client is.
    MetaClientInfo = ParamsMeta, b"io.modelcontextprotocol/clientInfo";
    /// Least level of log messages wanted during this request.
    MetaLogLevel = ParamsMeta, b"io.modelcontextprotocol/logLevel";
    /// The trace that the request belongs to (W3C Trace Context).
    MetaTraceparent = ParamsMeta, b"traceparent";
    /// The listen request that a notification belongs to.
    MetaSubscriptionId = ParamsMeta, b"io.modelcontextprotocol/subscriptionId";

    /// `complete`, `input_required`, `task` (2026-07-28).
    ResultType = Result, b"resultType";
    /// State of a multi round trip.
    ResultRequestState = Result, b"requestState";
    /// What the server wants to know in a multi round trip.
    ResultInputRequests = Result, b"inputRequests";
    /// Next page.
    ResultNextCursor = Result, b"nextCursor";
    /// Task that stands for the result.
    ResultTaskId = Result, b"taskId";
    /// How long the result may be cached, in milliseconds (2026-07-28).
    ResultTtlMs = Result, b"ttlMs";
    /// Who may share a cached result: `public` or `private` (2026-07-28).
    ResultCacheScope = Result, b"cacheScope";
    /// tools/list.
    ResultTools = Result, b"tools";
    /// resources/list.
    ResultResources = Result, b"resources";
    /// resources/templates/list.
    ResultResourceTemplates = Result, b"resourceTemplates";
    /// prompts/list.
    ResultPrompts = Result, b"prompts";
    /// Version chosen by initialize.
    ResultProtocolVersion = Result, b"protocolVersion";
    /// Versions in the answer to server/discover.
    ResultSupportedVersions = Result, b"supportedVersions";
    /// Server capabilities: initialize, server/discover.
    ResultCapabilities = Result, b"capabilities";
    /// Who the server is: initialize.
    ResultServerInfo = Result, b"serverInfo";
    /// Advice for the model: initialize, server/discover.
    ResultInstructions = Result, b"instructions";
    /// Protocol-level metadata of a result.
    ResultMeta = Result, b"_meta";
    /// Who the server is: every modern result.
    ResultMetaServerInfo = ResultMeta, b"io.modelcontextprotocol/serverInfo";
    /// The listen request that a result belongs to.
    ResultMetaSubscriptionId = ResultMeta, b"io.modelcontextprotocol/subscriptionId";

    /// Error code.
    ErrorCode = Error, b"code";
    /// One sentence.
    ErrorMessage = Error, b"message";
    /// Anything.
    ErrorData = Error, b"data";
}

impl Field {
    /// Objects whose members are recorded.
    #[inline]
    pub(crate) const fn is_walked(self) -> bool {
        matches!(
            self,
            Self::Message
                | Self::Params
                | Self::ParamsMeta
                | Self::ParamsRef
                | Self::Result
                | Self::ResultMeta
                | Self::Error
        )
    }

    /// Fields that decide what is done with a message or whom it reaches. Some parsers (Go's)
    /// ignore the case of keys, so `Name` next to `name` could get a call past an allow-list:
    /// keys that differ from these in case alone are refused.
    pub(crate) const fn is_guarded(self) -> bool {
        matches!(self.parent(), Self::Message) && !matches!(self, Self::Message)
            || matches!(
                self,
                Self::ParamsName
                    | Self::ParamsUri
                    | Self::ParamsTaskId
                    | Self::ParamsRef
                    | Self::ParamsMeta
                    | Self::ParamsRequestState
                    | Self::ParamsRequestId
                    | Self::RefName
                    | Self::RefUri
            )
    }

    /// The guarded field that `key` looks like without being it.
    pub(crate) fn look_alike(parent: Self, key: &str) -> Option<Self> {
        if matches!(
            parent,
            Self::ParamsMeta | Self::Result | Self::ResultMeta | Self::Error
        ) {
            return None;
        }
        let folds_to = |field: &Self| {
            let mut wanted = field.key().chars();
            let same = key.chars().all(|c| {
                // The two characters beyond ASCII that fold into it.
                let c = match c {
                    '\u{17f}' => 's',
                    '\u{212a}' => 'k',
                    c => c,
                };
                wanted.next().is_some_and(|w| w.eq_ignore_ascii_case(&c))
            });
            same && wanted.next().is_none()
        };
        Self::ALL
            .iter()
            .copied()
            .find(|field| field.parent() == parent && field.is_guarded() && folds_to(field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_consistent() {
        for &field in Field::ALL {
            if field != Field::Message {
                assert!(
                    field.parent().is_walked(),
                    "{field:?} would never be recorded"
                );
                assert_eq!(
                    Field::of(field.parent(), field.key().as_bytes()),
                    Some(field)
                );
            }
        }
    }

    #[test]
    fn look_alikes_are_seen() {
        assert_eq!(
            Field::look_alike(Field::Params, "Name"),
            Some(Field::ParamsName)
        );
        assert_eq!(
            Field::look_alike(Field::Message, "param\u{17f}"),
            Some(Field::Params)
        );
        assert_eq!(
            Field::look_alike(Field::Params, "tas\u{212a}ID"),
            Some(Field::ParamsTaskId)
        );
        assert_eq!(Field::look_alike(Field::Params, "names"), None);
        assert_eq!(Field::look_alike(Field::Params, "nam"), None);
        assert_eq!(Field::look_alike(Field::Result, "RESULTTYPE"), None);
    }
}

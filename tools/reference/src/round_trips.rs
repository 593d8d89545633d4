//! Asking the client before answering, without a session (SEP-2322).
//!
//! A server of 2026-07-28 sends no requests. It answers with questions, and the client sends its
//! request again with the answers. What the server has to remember until then travels with the client,
//! sealed: whoever changed it, or took it from another exchange, is refused.
//!
//! [`Exchange`] is one such conversation, as data; [`crate::tools::rounds`] and [`crate::prompts`] have
//! those that are offered.

// The protocol says since 2026-07-28 that sampling and roots will go, but still has them.
#![expect(
    deprecated,
    reason = "the conformance suite tests what the protocol still has"
)]

use rmcp::ErrorData;
use rmcp::model::{
    ClientCapabilities, CreateMessageRequest, CreateMessageRequestParams, ElicitRequest,
    ElicitRequestParams, InputRequest, InputRequests, InputRequiredResult, InputResponses,
    ListRootsRequest, RequestStateCodec, SamplingMessage, SealOptions,
};
use serde_json::{Value, json};

/// The key that seals what clients carry. Nothing of value is behind it; that it is the same in all
/// copies of this server lets an exchange go on with another one.
const KEY: &[u8] = b"agentopia-reference: not a secret at all";

/// One conversation: questions, round by round, and then the answer.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// What it is called, and what the state that clients carry belongs to.
    pub(crate) name: &'static str,
    /// What is asked in each round.
    pub(crate) rounds: &'static [&'static [Question]],
    /// What the client carries from round to round.
    pub(crate) memory: Memory,
}

/// Whether a client carries state.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    /// It doesn't: one round needs none.
    None,
    /// The number of the round, sealed.
    Round,
}

/// One question, by the key that its answer will have.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) key: &'static str,
    pub(crate) ask: Ask,
}

/// What is asked for.
#[derive(Debug)]
pub(crate) enum Ask {
    /// A form with a single field, for a person.
    Form {
        message: &'static str,
        field: &'static str,
        /// The field's type in JSON Schema.
        of: &'static str,
    },
    /// What a language model says to this.
    Sample(&'static str),
    /// The client's root folders.
    Roots,
}

/// What a client sends along when it asks again.
#[derive(Debug, Default)]
pub(crate) struct Returned {
    pub(crate) responses: Option<InputResponses>,
    pub(crate) state: Option<String>,
}

/// How an exchange goes on.
#[derive(Debug)]
pub(crate) enum Next {
    /// There is something to ask.
    Ask(InputRequiredResult),
    /// All is known: the answers of the last round, by key.
    Done(Vec<(&'static str, Value)>),
}

impl Exchange {
    /// Takes what a client returned, and goes on.
    ///
    /// # Errors
    ///
    /// The state is not one that we gave out for this exchange, or the client can't answer any of the
    /// questions.
    pub(crate) fn go_on(
        &self,
        returned: &Returned,
        client: &ClientCapabilities,
    ) -> Result<Next, ErrorData> {
        let mut round = self.open(returned.state.as_deref())?;
        // With memory, answers to questions that we did not ask yet are none.
        let begun = self.memory == Memory::None || returned.state.is_some();
        if begun && let Some(answers) = self.answers(round, returned, client) {
            round += 1;
            if round >= self.rounds.len() {
                return Ok(Next::Done(answers));
            }
        }
        self.ask(round, client).map(Next::Ask)
    }

    /// The questions of a round that the client can answer. Others must not be asked.
    fn suitable(
        &self,
        round: usize,
        client: &ClientCapabilities,
    ) -> impl Iterator<Item = &'static Question> {
        let questions = self.rounds.get(round).copied().unwrap_or_default();
        questions
            .iter()
            .filter(|question| question.ask.suits(client))
    }

    /// The answers of a round, if there are any and none is missing.
    fn answers(
        &self,
        round: usize,
        returned: &Returned,
        client: &ClientCapabilities,
    ) -> Option<Vec<(&'static str, Value)>> {
        let answers = self
            .suitable(round, client)
            .map(|question| Some((question.key, returned.answer(question.key)?.clone())))
            .collect::<Option<Vec<_>>>()?;
        (!answers.is_empty()).then_some(answers)
    }

    fn ask(
        &self,
        round: usize,
        client: &ClientCapabilities,
    ) -> Result<InputRequiredResult, ErrorData> {
        let mut requests = InputRequests::new();
        for question in self.suitable(round, client) {
            requests.insert(question.key.to_owned(), question.ask.request()?);
        }
        if requests.is_empty() {
            let first = self
                .rounds
                .get(round)
                .and_then(|questions| questions.first());
            let needed = first.map(|question| question.ask.needs());
            return Err(ErrorData::missing_required_client_capability(
                needed.unwrap_or_default(),
            ));
        }
        Ok(InputRequiredResult::new(Some(requests), self.seal(round)))
    }

    fn seal(&self, round: usize) -> Option<String> {
        let options = SealOptions::new().associated_data(self.name.as_bytes());
        let seal = || codec().seal_with(round.to_string().as_bytes(), &options);
        (self.memory == Memory::Round).then(seal)
    }

    /// The round that a client is in.
    fn open(&self, state: Option<&str>) -> Result<usize, ErrorData> {
        let (Memory::Round, Some(state)) = (&self.memory, state) else {
            return Ok(0);
        };
        codec()
            .open_json_with(state, self.name.as_bytes())
            .map_err(|problem| ErrorData::invalid_params(format!("requestState: {problem}"), None))
    }
}

impl Ask {
    fn request(&self) -> Result<InputRequest, ErrorData> {
        Ok(match *self {
            Self::Form { message, field, of } => {
                let schema = json!({
                    "type": "object",
                    "properties": { field: { "type": of } },
                    "required": [field],
                });
                InputRequest::Elicitation(ElicitRequest::new(form(message, schema)?))
            }
            Self::Sample(text) => {
                InputRequest::CreateMessage(CreateMessageRequest::new(sample(text)))
            }
            Self::Roots => InputRequest::ListRoots(ListRootsRequest::default()),
        })
    }

    /// Whether a client can answer.
    fn suits(&self, client: &ClientCapabilities) -> bool {
        match self {
            Self::Form { .. } => client.elicitation.is_some(),
            Self::Sample(_) => client.sampling.is_some(),
            Self::Roots => client.roots.is_some(),
        }
    }

    /// What a client has to be able to.
    fn needs(&self) -> ClientCapabilities {
        let builder = ClientCapabilities::builder();
        match self {
            Self::Form { .. } => builder.enable_elicitation().build(),
            Self::Sample(_) => builder.enable_sampling().build(),
            Self::Roots => builder.enable_roots().build(),
        }
    }
}

impl Returned {
    /// Every kind of answer is an object; anything else is none.
    fn answer(&self, key: &str) -> Option<&Value> {
        let answer = self.responses.as_ref()?.get(key)?;
        answer.is_object().then_some(answer)
    }
}

/// A form for a person. Also asked within sessions.
///
/// # Errors
///
/// The schema is none that a form may have, which would be a mistake of ours.
pub(crate) fn form(message: &str, schema: Value) -> Result<ElicitRequestParams, ErrorData> {
    let requested_schema = serde_json::from_value(schema)
        .map_err(|problem| ErrorData::internal_error(format!("bad form: {problem}"), None))?;
    Ok(ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: message.to_owned(),
        requested_schema,
    })
}

/// A question to a language model. Also asked within sessions.
pub(crate) fn sample(text: &str) -> CreateMessageRequestParams {
    const MAX_TOKENS: u32 = 100;
    CreateMessageRequestParams::new(vec![SamplingMessage::user_text(text)], MAX_TOKENS)
}

fn codec() -> RequestStateCodec {
    const _: () = assert!(KEY.len() >= RequestStateCodec::MIN_KEY_LENGTH);
    RequestStateCodec::new_unchecked(KEY)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: Question = Question {
        key: "name",
        ask: Ask::Form {
            message: "Who?",
            field: "name",
            of: "string",
        },
    };
    const ROOTS: Question = Question {
        key: "roots",
        ask: Ask::Roots,
    };
    const TWO: Exchange = Exchange {
        name: "two",
        rounds: &[&[NAME], &[ROOTS]],
        memory: Memory::Round,
    };

    fn able() -> ClientCapabilities {
        ClientCapabilities::builder()
            .enable_elicitation()
            .enable_roots()
            .build()
    }

    fn returned(key: &str, answer: Value, state: Option<String>) -> Returned {
        Returned {
            responses: Some([(key.to_owned(), answer)].into()),
            state,
        }
    }

    fn asked(next: Next) -> (Vec<String>, Option<String>) {
        match next {
            Next::Ask(result) => (
                result.input_requests.unwrap().into_keys().collect(),
                result.request_state,
            ),
            Next::Done(answers) => panic!("done with {answers:?}"),
        }
    }

    #[test]
    fn rounds_follow_each_other() {
        let (keys, state) = asked(TWO.go_on(&Returned::default(), &able()).unwrap());
        assert_eq!(keys, ["name"]);
        let again = returned("name", json!(5), state.clone());
        assert_eq!(asked(TWO.go_on(&again, &able()).unwrap()).0, ["name"]);
        let (keys, state) = asked(
            TWO.go_on(&returned("name", json!({}), state), &able())
                .unwrap(),
        );
        assert_eq!(keys, ["roots"]);
        let next = TWO.go_on(&returned("roots", json!({}), state), &able());
        assert!(matches!(next, Ok(Next::Done(_))));
    }

    #[test]
    fn state_of_another_exchange_is_refused() {
        let other = Exchange {
            name: "other",
            ..TWO
        };
        let (_, state) = asked(other.go_on(&Returned::default(), &able()).unwrap());
        let returned = returned("name", json!({}), state);
        assert!(other.go_on(&returned, &able()).is_ok());
        assert!(TWO.go_on(&returned, &able()).is_err());
    }

    #[test]
    fn clients_are_asked_only_what_they_can_answer() {
        let both = Exchange {
            name: "both",
            rounds: &[&[NAME, ROOTS]],
            memory: Memory::None,
        };
        let client = ClientCapabilities::builder().enable_roots().build();
        let (keys, _) = asked(both.go_on(&Returned::default(), &client).unwrap());
        assert_eq!(keys, ["roots"]);
        let next = both.go_on(&returned("roots", json!({}), None), &client);
        assert!(matches!(next, Ok(Next::Done(_))));
        let unable = ClientCapabilities::default();
        assert!(both.go_on(&Returned::default(), &unable).is_err());
    }
}

//! Finds the thing that a person means: by id, by name, or by a name that differs in case only.

use agentopia_api::agent::Agent;
use agentopia_api::grant::Grant;
use agentopia_api::instance::Instance;
use agentopia_api::token::Token;
use agentopia_api::user::User;
use agentopia_domain::{AgentId, InstanceId};
use uuid::Uuid;

use crate::client::Client;
use crate::failure::Failure;

/// Something that has an id and a name.
pub(crate) trait Named {
    /// What people call such a thing.
    const WHAT: &'static str;
    /// The command that lists them.
    const LIST: &'static str;

    fn id(&self) -> Uuid;
    fn name(&self) -> &str;
}

impl Named for Instance {
    const WHAT: &'static str = "tool";
    const LIST: &'static str = "agentopia tools list";

    fn id(&self) -> Uuid {
        self.id.as_uuid()
    }

    fn name(&self) -> &str {
        self.name.as_str()
    }
}

impl Named for Agent {
    const WHAT: &'static str = "agent";
    const LIST: &'static str = "agentopia agents list";

    fn id(&self) -> Uuid {
        self.id.as_uuid()
    }

    fn name(&self) -> &str {
        self.name.as_str()
    }
}

impl Named for Token {
    const WHAT: &'static str = "token";
    const LIST: &'static str = "the command `list` beside this one";

    fn id(&self) -> Uuid {
        self.id.as_uuid()
    }

    fn name(&self) -> &str {
        self.name.as_str()
    }
}

impl Named for Grant {
    const WHAT: &'static str = "grant";
    const LIST: &'static str = "agentopia agents grant list";

    fn id(&self) -> Uuid {
        self.id.as_uuid()
    }

    fn name(&self) -> &str {
        &self.client_name
    }
}

impl Named for User {
    const WHAT: &'static str = "user";
    const LIST: &'static str = "agentopia users list";

    fn id(&self) -> Uuid {
        self.id.as_uuid()
    }

    fn name(&self) -> &str {
        &self.email
    }
}

/// The instance that `reference` means.
pub(crate) async fn instance(client: &Client, reference: &str) -> Result<Instance, Failure> {
    if let Ok(id) = reference.parse::<InstanceId>() {
        match client.instance(id).await {
            Err(error) if error.is_not_found() => {}
            found => return Ok(found?),
        }
    }
    pick(client.instances(false).await?, reference)
}

/// The agent that `reference` means.
pub(crate) async fn agent(client: &Client, reference: &str) -> Result<Agent, Failure> {
    if let Ok(id) = reference.parse::<AgentId>() {
        match client.agent(id).await {
            Err(error) if error.is_not_found() => {}
            found => return Ok(found?),
        }
    }
    pick(client.agents().await?, reference)
}

/// The one of `items` that `reference` means: an id or a name before a name in another case.
pub(crate) fn pick<T: Named>(items: Vec<T>, reference: &str) -> Result<T, Failure> {
    let id = reference.parse::<Uuid>().ok();
    let tests: [&dyn Fn(&T) -> bool; 3] = [
        &|item| Some(item.id()) == id,
        &|item| item.name() == reference,
        &|item| item.name().to_lowercase() == reference.to_lowercase(),
    ];
    for test in tests {
        let found: Vec<&T> = items.iter().filter(|item| test(item)).collect();
        match found.as_slice() {
            [] => {}
            [one] => {
                let id = one.id();
                return items
                    .into_iter()
                    .find(|item| item.id() == id)
                    .ok_or_else(|| unknown::<T>(reference));
            }
            several => return Err(ambiguous(reference, several)),
        }
    }
    Err(unknown::<T>(reference))
}

fn unknown<T: Named>(reference: &str) -> Failure {
    Failure::NotFound(format!(
        "there is no {} called {reference}; see: {}",
        T::WHAT,
        T::LIST
    ))
}

fn ambiguous<T: Named>(reference: &str, several: &[&T]) -> Failure {
    let list: Vec<String> = several
        .iter()
        .map(|item| format!("{} ({})", item.name(), item.id()))
        .collect();
    Failure::Usage(format!(
        "{reference} can mean several {}s, give the id: {}",
        T::WHAT,
        list.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Thing(u128, &'static str);

    impl Named for Thing {
        const WHAT: &'static str = "thing";
        const LIST: &'static str = "things list";

        fn id(&self) -> Uuid {
            Uuid::from_u128(self.0)
        }

        fn name(&self) -> &str {
            self.1
        }
    }

    fn pick_of(reference: &str) -> Result<u128, Failure> {
        let things = vec![
            Thing(1, "echo"),
            Thing(2, "Echo"),
            Thing(3, "Time"),
            Thing(4, "x"),
            Thing(5, "x"),
        ];
        pick(things, reference).map(|thing| thing.0)
    }

    #[test]
    fn ids_and_names_are_found() {
        assert_eq!(pick_of("echo").unwrap(), 1);
        assert_eq!(pick_of("Echo").unwrap(), 2);
        assert_eq!(pick_of("time").unwrap(), 3);
        assert_eq!(pick_of(&Uuid::from_u128(5).to_string()).unwrap(), 5);
    }

    #[test]
    fn what_may_be_two_things_is_told() {
        for (reference, ids) in [("ECHO", [1, 2]), ("x", [4, 5])] {
            let Err(Failure::Usage(text)) = pick_of(reference) else {
                panic!("{reference} was one thing");
            };
            for id in ids {
                assert!(text.contains(&Uuid::from_u128(id).to_string()), "{text}");
            }
        }
        assert!(matches!(pick_of("nothing"), Err(Failure::NotFound(_))));
    }
}

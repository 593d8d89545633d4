//! Makes sure that an account's environment is wanted: what enabling, deploying the first tool and
//! the service-to-service call have in common (ENV-3).

use agentopia_domain::AccountId;
use agentopia_domain::EnvironmentId;
use agentopia_domain::environment::{DesiredEnvironment, Environment, ProviderKind};
use agentopia_domain::event::{NewEvent, ObjectKind};
use agentopia_store::NewEnvironment;

use crate::config::Config;
use crate::problem::{Answer, Refusal, kind};
use crate::state::AppState;

/// Where the machine should be and what it should be; `None` takes the operator's default.
#[derive(Debug, Clone, Default)]
pub(in crate::http::v1) struct Placement {
    pub(in crate::http::v1) region: Option<String>,
    pub(in crate::http::v1) size: Option<String>,
    pub(in crate::http::v1) image: Option<String>,
}

/// Makes the environment if there is none, and wants it if it is not wanted. Calling it twice
/// changes nothing the second time. `event` is given the environment's id.
pub(in crate::http::v1) async fn ensure(
    state: &AppState,
    account: AccountId,
    placement: Placement,
    event: impl Fn((ObjectKind, EnvironmentId)) -> NewEvent,
) -> Answer<Environment> {
    let environments = state.store.environments();
    let id: EnvironmentId = state.ambient.new_id();
    let asked = placement.clone();
    let made = environments
        .get_or_create(
            account,
            new_environment(&state.config, id, placement),
            &[event((ObjectKind::Environment, id))],
        )
        .await?;
    if made.changed {
        state.wake.environment(made.value.id);
        return Ok(made.value);
    }
    refuse_another_place(&asked, &made.value)?;
    let wanted = environments
        .set_desired(
            account,
            DesiredEnvironment::Enabled,
            &[event((ObjectKind::Environment, made.value.id))],
        )
        .await?;
    if wanted.changed {
        state.wake.environment(wanted.value.id);
    }
    Ok(wanted.value)
}

/// An environment stays where and what it is; asking for something else must not pass in silence.
fn refuse_another_place(asked: &Placement, there: &Environment) -> Answer<()> {
    let differs = |asked: &Option<String>, there: &Option<String>| {
        asked.is_some() && asked.as_deref() != there.as_deref()
    };
    for (field, asked, there) in [
        ("region", &asked.region, &there.region),
        ("size", &asked.size, &there.size),
        ("image", &asked.image, &there.image),
    ] {
        if differs(asked, there) {
            let now = there.as_deref().unwrap_or("not set");
            return Err(Refusal::new(
                kind::WRONG_STATE,
                format!("the environment exists and its {field} is {now}; leave the field out"),
            ));
        }
    }
    Ok(())
}

fn new_environment(config: &Config, id: EnvironmentId, placement: Placement) -> NewEnvironment {
    let defaults = match config.provider {
        ProviderKind::Local => Placement::default(),
        ProviderKind::Digitalocean => Placement {
            region: config.digitalocean.default_region.clone(),
            size: config.digitalocean.default_size.clone(),
            image: config.digitalocean.default_image.clone(),
        },
    };
    NewEnvironment {
        id,
        provider: config.provider,
        region: placement.region.or(defaults.region),
        size: placement.size.or(defaults.size),
        image: placement.image.or(defaults.image),
    }
}

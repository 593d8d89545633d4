//! Makes sure that an account's environment is wanted: what enabling, deploying the first tool and
//! the service-to-service call have in common (ENV-3), within what the operator allows (ENV-12).

use agentopia_domain::AccountId;
use agentopia_domain::EnvironmentId;
use agentopia_domain::environment::{
    DesiredEnvironment, Environment, EnvironmentStatus, ProviderKind,
};
use agentopia_domain::event::{NewEvent, ObjectKind};
use agentopia_store::{NewEnvironment, Placement};

use crate::config::{Allowed, Config};
use crate::problem::{Answer, Refusal, kind};
use crate::state::AppState;

/// Makes the environment if there is none, and wants it if it is not wanted. Calling it twice
/// changes nothing the second time. `asked` is what the machine should be; what is left out is as
/// it was, or the operator's default. `event` is given the environment's id.
pub(in crate::http::v1) async fn ensure(
    state: &AppState,
    account: AccountId,
    asked: Placement,
    event: impl Fn((ObjectKind, EnvironmentId)) -> NewEvent,
) -> Answer<Environment> {
    check_allowed(&state.config, &asked)?;
    let environments = state.store.environments();
    let id: EnvironmentId = state.ambient.new_id();
    let placement = or(asked.clone(), defaults(&state.config));
    let new = NewEnvironment {
        id,
        provider: state.config.provider,
        region: placement.region,
        size: placement.size,
        image: placement.image,
    };
    let made = environments
        .get_or_create(account, new, &[event((ObjectKind::Environment, id))])
        .await?;
    if made.changed {
        state.wake.environment(made.value.id);
        return Ok(made.value);
    }
    place_again(state, &asked, &made.value).await?;
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

/// As long as there is no machine the next one can be somewhere else. One that is there stays
/// where and what it is; asking for something else must not pass in silence.
async fn place_again(state: &AppState, asked: &Placement, there: &Environment) -> Answer<()> {
    let old = Placement {
        region: there.region.clone(),
        size: there.size.clone(),
        image: there.image.clone(),
    };
    let without_machine = matches!(
        there.status,
        EnvironmentStatus::Deleted | EnvironmentStatus::ErrorCreation
    );
    if without_machine {
        let next = or(or(asked.clone(), old.clone()), defaults(&state.config));
        // What was allowed once may not be any more.
        check_allowed(&state.config, &next)?;
        let environments = state.store.environments();
        if next == old || environments.place(there.account_id, next).await? {
            return Ok(());
        }
    }
    refuse_another_place(asked, &old)
}

fn refuse_another_place(asked: &Placement, there: &Placement) -> Answer<()> {
    for (field, asked, there, instead) in [
        ("region", &asked.region, &there.region, "turn it off first"),
        ("size", &asked.size, &there.size, "change it with /scale"),
        ("image", &asked.image, &there.image, "turn it off first"),
    ] {
        if asked.is_some() && asked != there {
            let now = there.as_deref().unwrap_or("not set");
            return Err(Refusal::new(
                kind::WRONG_STATE,
                format!(
                    "the environment exists and its {field} is {now}; leave the field out, or \
                     {instead}"
                ),
            ));
        }
    }
    Ok(())
}

/// Whether accounts may choose this. A `local` machine has nothing to choose.
fn check_allowed(config: &Config, placement: &Placement) -> Answer<()> {
    if config.provider != ProviderKind::Digitalocean {
        return Ok(());
    }
    let own = &config.digitalocean;
    for (field, choice, allowed) in [
        ("region", &placement.region, own.regions()),
        ("size", &placement.size, own.sizes()),
        ("image", &placement.image, own.images()),
    ] {
        if let Some(choice) = choice
            && !allowed.holds(choice)
        {
            return Err(not_allowed(field, choice, allowed));
        }
    }
    Ok(())
}

pub(super) fn not_allowed(field: &str, choice: &str, allowed: Allowed<'_>) -> Refusal {
    let names: Vec<&str> = allowed.names().collect();
    Refusal::new(
        kind::NOT_OFFERED,
        format!(
            "the operator does not offer the {field} {choice:?}; choose one of {}",
            names.join(", ")
        ),
    )
}

fn defaults(config: &Config) -> Placement {
    match config.provider {
        ProviderKind::Local => Placement::default(),
        ProviderKind::Digitalocean => Placement {
            region: config.digitalocean.default_region.clone(),
            size: config.digitalocean.default_size.clone(),
            image: config.digitalocean.default_image.clone(),
        },
    }
}

fn or(first: Placement, second: Placement) -> Placement {
    Placement {
        region: first.region.or(second.region),
        size: first.size.or(second.size),
        image: first.image.or(second.image),
    }
}

//! What follows from what was read, one thing at a time. Pure.

use agentopia_domain::verification::Check;

use super::read::{Everything, Read, Unread};
use crate::ProjectId;
use crate::account::{Account, AccountStatus};
use crate::droplets::Droplet;
use crate::images::Image;
use crate::keys::Key;
use crate::projects::Project;
use crate::provider::ProviderSettings;
use crate::provider::preflight::{fitting_image, fitting_size, known_key, open_region};
use crate::regions::Region;
use crate::sizes::Size;

/// The scopes that change something, whatever is configured.
const CHANGES: &str = "droplet:create, droplet:update, droplet:delete, firewall:create, \
                       firewall:update, firewall:delete and tag:create";

/// What can be said of a thing that was not read: it was not looked at where the token may not,
/// because that is told as a whole by [`reading`], and it failed otherwise.
pub(super) fn unread(name: &str, why: &Unread) -> Check {
    match why {
        Unread::MissingScope => Check::skipped(
            name,
            "the token may not read this: see provider.scopes.read",
        ),
        Unread::BadToken(text) | Unread::Unreachable(text) | Unread::Other(text) => {
            Check::failed(name, text.clone())
        }
    }
}

/// Whether DigitalOcean takes the token.
pub(super) fn token(account: &Read<Account>) -> Check {
    let name = "provider.token";
    match account {
        Ok(account) => {
            let team = account.team.as_ref().map(|team| team.name.as_str());
            let whose = team.or(account.email.as_deref()).unwrap_or_default();
            Check::ok(
                name,
                format!("DigitalOcean accepts it; it acts for {whose:?}"),
            )
        }
        // Who is told what is missing has been recognised.
        Err(Unread::MissingScope) => Check::ok(name, "DigitalOcean accepts it"),
        Err(Unread::BadToken(text) | Unread::Unreachable(text) | Unread::Other(text)) => {
            Check::failed(name, text.clone())
        }
    }
}

/// Whether everything can be read that has to be.
pub(super) fn reading(read: &Everything, settings: &ProviderSettings) -> Check {
    let name = "provider.scopes.read";
    fn lacks<T>(read: &Read<T>) -> bool {
        matches!(read, Err(Unread::MissingScope))
    }
    let any_key = read.keys.iter().any(|(_, found)| lacks(found));
    let project = read.project.as_ref().is_some_and(|(_, found)| lacks(found));
    let looked = [
        ("droplet:read", true, lacks(&read.droplets)),
        ("firewall:read", true, lacks(&read.firewalls)),
        ("tag:read", true, lacks(&read.tag)),
        ("regions:read", true, lacks(&read.regions)),
        ("sizes:read", true, lacks(&read.sizes)),
        ("image:read", true, lacks(&read.image)),
        ("ssh_key:read", !settings.ssh_keys.is_empty(), any_key),
        ("project:read", settings.project.is_some(), project),
    ];
    let needed = looked.iter().filter(|(_, needed, _)| *needed);
    let missing: Vec<&str> = looked
        .iter()
        .filter(|(_, _, lacking)| *lacking)
        .map(|(scope, _, _)| *scope)
        .collect();
    if missing.is_empty() {
        let all: Vec<&str> = needed.map(|(scope, _, _)| *scope).collect();
        return Check::ok(name, format!("the token has {}", all.join(", ")));
    }
    Check::failed(
        name,
        format!(
            "the token lacks {}: make one that has these too in DigitalOcean's control panel (API, \
             Tokens), set DO_API_TOKEN to it, and restart the server",
            missing.join(", ")
        ),
    )
}

/// What can't be looked at without doing it.
pub(super) fn changing(settings: &ProviderSettings) -> Check {
    let project = if settings.project.is_some() {
        ", and project:update"
    } else {
        ""
    };
    Check::skipped(
        "provider.scopes.change",
        format!(
            "DigitalOcean does not tell without something being changed whether the token has \
             {CHANGES}{project}; the first environment that is enabled shows it"
        ),
    )
}

/// Whether the account may have anything at all.
pub(super) fn account(account: &Read<Account>) -> Check {
    let name = "provider.account";
    let account = match account {
        Ok(account) => account,
        Err(Unread::MissingScope) => {
            return Check::skipped(
                name,
                "the token lacks account:read; give it that to have the account's status and \
                 droplet limit looked at",
            );
        }
        Err(why) => return unread(name, why),
    };
    let message = &account.status_message;
    match &account.status {
        AccountStatus::Active => Check::ok(name, "the account is active"),
        AccountStatus::Locked => Check::failed(
            name,
            format!(
                "the account is locked and makes nothing; DigitalOcean says {message:?}: sign in \
                 to its control panel, or ask its support"
            ),
        ),
        other => Check::warning(
            name,
            format!(
                "the account's status is {other}; DigitalOcean says {message:?}: look at its \
                 control panel"
            ),
        ),
    }
}

/// Whether there is room for another droplet.
pub(super) fn droplet_limit(account: &Read<Account>, droplets: &Read<Vec<Droplet>>) -> Check {
    let name = "provider.droplet_limit";
    let limit = match account {
        Ok(account) => account.droplet_limit,
        Err(Unread::MissingScope) => None,
        Err(why) => return unread(name, why),
    };
    let used = match droplets {
        Ok(droplets) => droplets.len(),
        Err(why) => return unread(name, why),
    };
    let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) else {
        return Check::skipped(
            name,
            format!(
                "the account has {used} droplets; how many it may have is not told to this token, \
                 which needs account:read and droplet:read for that"
            ),
        );
    };
    let found = format!("{used} of {limit} droplets are used");
    let more = "delete droplets that are not needed, or ask DigitalOcean for a higher limit \
                (control panel, Settings, Team)";
    if used >= limit {
        Check::failed(name, format!("{found}: no machine can be made; {more}"))
    } else if used * 10 >= limit * 9 {
        Check::warning(name, format!("{found}; {more} in time"))
    } else {
        Check::ok(name, found)
    }
}

/// Whether machines can be made in the default region.
pub(super) fn region(settings: &ProviderSettings, regions: &Read<Vec<Region>>) -> Check {
    let name = "provider.region";
    let Some(region) = &settings.region else {
        return Check::warning(
            name,
            "there is no default region: each environment has to choose one; set DO_DEFAULT_REGION",
        );
    };
    match regions {
        Ok(regions) => judged(name, open_region(regions, region), || {
            format!("{region} takes new droplets")
        }),
        Err(why) => unread(name, why),
    }
}

/// Whether they can have the default size there.
pub(super) fn size(settings: &ProviderSettings, sizes: &Read<Vec<Size>>) -> Check {
    let name = "provider.size";
    let (Some(size), Some(region)) = (&settings.size, &settings.region) else {
        return Check::warning(
            name,
            "there is no default size and region: each environment has to choose them; set \
             DO_DEFAULT_SIZE and DO_DEFAULT_REGION",
        );
    };
    match sizes {
        Ok(sizes) => judged(name, fitting_size(sizes, size, region), || {
            format!("{size} can be had in {region}")
        }),
        Err(why) => unread(name, why),
    }
}

/// Whether they can be made from the default image there.
pub(super) fn image(settings: &ProviderSettings, image: &Read<Option<Image>>) -> Check {
    let name = "provider.image";
    let wished = &settings.image;
    let found = match image {
        Ok(found) => found,
        Err(why) => return unread(name, why),
    };
    let Some(region) = &settings.region else {
        return Check::skipped(
            name,
            "without a default region nobody knows where it is needed",
        );
    };
    judged(name, fitting_image(wished, found.as_ref(), region), || {
        format!("{wished} can be used in {region}")
    })
}

/// Whether the account has an SSH key that machines are to get.
pub(super) fn key(key: &str, found: &Read<Option<Key>>) -> Check {
    let name = "provider.ssh_key";
    let check = match found {
        Ok(found) => judged(name, known_key(key, found.as_ref()), || {
            "the account has it".to_owned()
        }),
        Err(why) => unread(name, why),
    };
    check.of(key)
}

/// Whether the project that machines are put in exists.
pub(super) fn project(id: &ProjectId, found: &Read<Option<Project>>) -> Check {
    let name = "provider.project";
    match found {
        Ok(Some(project)) => Check::ok(name, format!("it is {:?}", project.name)),
        Ok(None) => Check::failed(
            name,
            format!(
                "there is no project {:?}: set DO_PROJECT_ID to the id that stands in the address \
                 of the project's page in the control panel, or take it out",
                id.0
            ),
        ),
        Err(why) => unread(name, why),
    }
}

/// Whether enough requests are left to go on with.
pub(super) fn requests((left, per_hour): (usize, usize)) -> Check {
    let name = "provider.requests";
    let found = format!("{left} of {per_hour} requests are left this hour");
    if left * 10 < per_hour {
        return Check::warning(
            name,
            format!(
                "{found}; only what is urgent is still asked: look what else uses this token, and \
                 give the control plane one of its own"
            ),
        );
    }
    Check::ok(name, found)
}

fn judged(name: &str, verdict: Result<(), String>, fine: impl FnOnce() -> String) -> Check {
    match verdict {
        Ok(()) => Check::ok(name, fine()),
        Err(text) => Check::failed(name, text),
    }
}

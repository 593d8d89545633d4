//! Variables as client configurations give them, `"env": {"API_KEY": "<YOUR_API_KEY>"}`: each becomes a
//! required secret, a setting to fill in, or a setting with a default.

use agentopia_domain::catalog::{ConfigTarget, is_env_name};

use crate::Problem;
use crate::build::{Builder, Setting};
use crate::looks::{self, Looks, looks};

/// One variable with the value that somebody wrote, if any.
pub(crate) fn variable(
    builder: &mut Builder,
    name: &str,
    value: Option<&str>,
) -> Result<(), Problem> {
    if !is_env_name(name) {
        return Err(Problem::new(
            "a variable has a name that no environment takes: use letters, digits and `_`",
        ));
    }
    let value = value.unwrap_or_default();
    match looks(name, value) {
        Looks::Secret => {
            builder.secret(name, "", true)?;
            if !looks::is_place_holder(value) {
                builder.note(format!(
                    "the value of {name} looks like a secret and was not kept: put it into the vault \
                     (`agentopia secrets set`) and name it when deploying; if it was shown to anybody, \
                     replace it where it comes from"
                ));
            }
        }
        Looks::ToFillIn => {
            let property = builder.setting(Setting {
                name: name.to_owned(),
                description: format!("The variable {name}."),
                required: true,
                ..Setting::default()
            });
            let name = name.to_owned();
            builder.bind(property, ConfigTarget::Env { name });
        }
        Looks::Plain => {
            let elsewhere = looks::is_path_elsewhere(value);
            let property = builder.setting(Setting {
                name: name.to_owned(),
                description: format!("The variable {name}."),
                required: elsewhere,
                default: (!elsewhere).then(|| value.into()),
                ..Setting::default()
            });
            if elsewhere {
                builder.note(format!(
                    "{name} was a path of somebody's computer: give one inside the tool's container"
                ));
            }
            let name = name.to_owned();
            builder.bind(property, ConfigTarget::Env { name });
        }
    }
    Ok(())
}

//! Arguments as client configurations give them: what has to be filled in becomes a setting, the rest
//! stays as it is. Secrets are refused: arguments can be read by whoever sees the process.

use agentopia_domain::catalog::ConfigTarget;

use crate::Problem;
use crate::build::{Builder, Setting};
use crate::looks::{self, Looks, looks};

/// The arguments of a server.
pub(crate) fn arguments(builder: &mut Builder, args: &[String]) -> Result<(), Problem> {
    let mut rest = args.iter().peekable();
    let mut number = 0;
    while let Some(arg) = rest.next() {
        if let Some((flag, value)) = arg.split_once('=').filter(|_| is_flag(arg)) {
            match kind(flag, value)? {
                Looks::Plain => builder.fixed_arg(arg),
                _ => {
                    let property = asked(builder, flag, flag);
                    let text = format!("{flag}=${{config:{property}}}");
                    builder.bind(property, ConfigTarget::ArgText { flag: None, text });
                }
            }
        } else if is_flag(arg) {
            let value = rest.next_if(|next| !is_flag(next));
            match value.map(|value| kind(arg, value)).transpose()? {
                None => builder.fixed_arg(arg),
                Some(Looks::Plain) => {
                    builder.fixed_arg(arg);
                    builder.fixed_arg(value.map_or("", String::as_str));
                }
                Some(_) => {
                    let property = asked(builder, arg, arg);
                    let flag = Some(arg.clone());
                    builder.bind(property, ConfigTarget::Arg { flag });
                }
            }
        } else {
            number += 1;
            match kind("", arg)? {
                Looks::Plain => builder.fixed_arg(arg),
                _ => {
                    let name =
                        looks::reference(arg).unwrap_or_else(|| format!("argument_{number}"));
                    let property = asked(builder, &name, &format!("argument {number}"));
                    builder.bind(property, ConfigTarget::Arg { flag: None });
                }
            }
        }
    }
    Ok(())
}

fn is_flag(arg: &str) -> bool {
    arg.len() > 1 && arg.starts_with('-') && arg.parse::<f64>().is_err()
}

fn asked(builder: &mut Builder, name: &str, what: &str) -> String {
    builder.note(format!(
        "{what} has to be given when it is deployed; what was there is a place holder or a path of \
         somebody's computer"
    ));
    builder.setting(Setting {
        name: name.to_owned(),
        description: format!("The value of {what}, as the tool's container sees it."),
        required: true,
        ..Setting::default()
    })
}

fn kind(flag: &str, value: &str) -> Result<Looks, Problem> {
    match looks(flag, value) {
        Looks::Secret => Err(Problem::new(format!(
            "{} looks like a secret, and arguments can be read by everybody on the machine: use the \
             environment variable that the server reads for it",
            if flag.is_empty() {
                "an argument".to_owned()
            } else {
                format!("the value of {flag}")
            }
        ))),
        Looks::Plain if looks::is_path_elsewhere(value) => Ok(Looks::ToFillIn),
        other => Ok(other),
    }
}

//! Programs that run a package or an image: `npx`, `uvx`, `docker run` and what does the same.

use agentopia_domain::catalog::package::{PackageRegistry, is_program};
use agentopia_domain::catalog::{Packaging, VolumeTemplate};
use agentopia_domain::egress::Egress;

use super::{docker, remote};
use crate::build::Builder;
use crate::image::Reference;
use crate::package::Spec;
use crate::{Draft, Lookup, Options, Problem, args, env, words};

/// The package that makes an address look like a program; the address itself is what is wanted.
const BRIDGE: &str = "mcp-remote";

/// The entry of a command line.
pub(crate) fn draft(
    mut builder: Builder,
    command: &str,
    args: &[String],
    variables: &[(String, String)],
    options: &Options,
) -> Result<Draft, Problem> {
    let program = command.rsplit(['/', '\\']).next().unwrap_or(command);
    let program = program
        .strip_suffix(".exe")
        .or_else(|| program.strip_suffix(".cmd"))
        .unwrap_or(program);
    let first = args.first().map(String::as_str);
    match (program, first) {
        // Windows starts scripts this way.
        ("cmd", Some("/c" | "/C")) if args.len() > 1 => {
            draft(builder, &args[1], &args[2..], variables, options)
        }
        ("docker" | "podman", Some("run")) => image(builder, &args[1..], variables, options),
        ("docker" | "podman", Some("container")) if args.get(1).is_some_and(|it| it == "run") => {
            image(builder, &args[2..], variables, options)
        }
        ("npx" | "bunx" | "pnpx", _) => npm(builder, args, variables, options),
        ("pnpm" | "yarn", Some("dlx")) | ("npm", Some("exec" | "x")) | ("bun", Some("x")) => {
            npm(builder, &args[1..], variables, options)
        }
        ("uvx", _) => pypi(builder, args, variables, options, "--from"),
        ("uv", Some("tool")) if args.get(1).is_some_and(|it| it == "run") => {
            pypi(builder, &args[2..], variables, options, "--from")
        }
        ("pipx", Some("run")) => pypi(builder, &args[1..], variables, options, "--spec"),
        _ => {
            builder.name = words::line(program, 60);
            Err(Problem::new(format!(
                "`{}` starts a program of somebody's own computer; npx, uvx and docker run are known. Put \
                 the server into an image, or use the package or image that its makers publish",
                builder.name
            )))
        }
    }
}

fn image(
    mut builder: Builder,
    args: &[String],
    variables: &[(String, String)],
    options: &Options,
) -> Result<Draft, Problem> {
    let run = docker::Run::parse(args)?;
    let reference = Reference::parse(&run.image)?;
    for text in run.notes {
        builder.note(text);
    }
    for (name, value) in &run.env {
        let given = variables.iter().find(|(other, _)| other == name);
        let value = value.as_deref().or(given.map(|(_, value)| value.as_str()));
        env::variable(&mut builder, name, value)?;
    }
    let passed = |name: &str| run.env.iter().any(|(other, _)| other == name);
    for (name, _) in variables.iter().filter(|(name, _)| !passed(name)) {
        builder.note(format!(
            "the variable {} was left out: the command line does not pass it on (`-e`)",
            words::line(name, 60)
        ));
    }
    if run.is_offline {
        builder.egress = Egress::None;
    }
    builder.volume = run.mount.map(|mount_path| VolumeTemplate { mount_path });
    args::arguments(&mut builder, &run.command)?;
    let version = reference.version();
    builder.lookup = Some(Lookup::Image {
        reference: reference.clone(),
        // Clients speak with what they start over its standard streams.
        transport_is_told: true,
    });
    let image = reference.repository;
    let transport = options.transport.clone().unwrap_or_default();
    builder.finish(Packaging::DockerImage { image }, transport, version)
}

fn npm(
    builder: Builder,
    args: &[String],
    variables: &[(String, String)],
    options: &Options,
) -> Result<Draft, Problem> {
    let mut rest = args.iter();
    let mut from = None;
    let first = loop {
        let arg = rest
            .next()
            .ok_or_else(|| Problem::new("it names no package"))?;
        match arg.as_str() {
            "-y" | "--yes" | "-q" | "--quiet" | "--prefer-online" | "--prefer-offline" | "--"
            | "--bun" => {}
            "-p" | "--package" => from = rest.next().cloned(),
            other => match other.strip_prefix("--package=") {
                Some(package) => from = Some(package.to_owned()),
                None if other.starts_with('-') => {
                    return Err(unknown(other, "npx"));
                }
                None => break arg.clone(),
            },
        }
    };
    let rest: Vec<String> = rest.cloned().collect();
    let (spec, program) = match from {
        Some(package) => (Spec::parse(PackageRegistry::Npm, &package)?, Some(first)),
        None => (Spec::parse(PackageRegistry::Npm, &first)?, None),
    };
    if spec.name == BRIDGE {
        return bridged(builder, &rest);
    }
    package(builder, &spec, program, &rest, variables, options)
}

fn pypi(
    builder: Builder,
    args: &[String],
    variables: &[(String, String)],
    options: &Options,
    from_flag: &str,
) -> Result<Draft, Problem> {
    let mut rest = args.iter();
    let mut from = None;
    let first = loop {
        let arg = rest
            .next()
            .ok_or_else(|| Problem::new("it names no package"))?;
        match arg.as_str() {
            "-q" | "--quiet" | "--refresh" | "--isolated" | "--no-cache" => {}
            other if other == from_flag => from = rest.next().cloned(),
            other if other.starts_with('-') => return Err(unknown(other, "uvx")),
            _ => break arg.clone(),
        }
    };
    let rest: Vec<String> = rest.cloned().collect();
    let (spec, program) = match from {
        Some(package) => (Spec::parse(PackageRegistry::Pypi, &package)?, Some(first)),
        None => (Spec::parse(PackageRegistry::Pypi, &first)?, None),
    };
    package(builder, &spec, program, &rest, variables, options)
}

fn unknown(flag: &str, program: &str) -> Problem {
    let flag = words::line(flag.split('=').next().unwrap_or(flag), 40);
    Problem::new(format!(
        "what `{flag}` of {program} does can't be kept: write the command without it, if the server does without"
    ))
}

fn package(
    mut builder: Builder,
    spec: &Spec,
    program: Option<String>,
    rest: &[String],
    variables: &[(String, String)],
    options: &Options,
) -> Result<Draft, Problem> {
    if program
        .as_deref()
        .is_some_and(|program| !is_program(program))
    {
        return Err(Problem::new(
            "the program that it names is none: use a name without a path",
        ));
    }
    for (name, value) in variables {
        env::variable(&mut builder, name, Some(value))?;
    }
    args::arguments(&mut builder, rest)?;
    let (version, lookup) = spec.version(Vec::new());
    builder.lookup = Some(lookup);
    let own = words::last_part(&spec.name);
    let packaging = Packaging::Package {
        registry: spec.registry,
        name: spec.name.clone(),
        program: program.filter(|program| program != own),
    };
    let transport = options.transport.clone().unwrap_or_default();
    builder.finish(packaging, transport, version)
}

/// `npx mcp-remote URL --header "Name: value"` is the address itself.
fn bridged(mut builder: Builder, args: &[String]) -> Result<Draft, Problem> {
    let mut url = None;
    let mut kind = None;
    let mut headers = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            "--header" => {
                let header = rest.next().and_then(|text| text.split_once(':'));
                let (name, value) = header.ok_or_else(|| Problem::new("a header has no value"))?;
                headers.push((name.trim().to_owned(), value.trim().to_owned()));
            }
            "--transport" => {
                kind = rest
                    .next()
                    .filter(|it| it.starts_with("sse"))
                    .map(|_| "sse");
            }
            other if !other.starts_with('-') && url.is_none() => url = Some(other.to_owned()),
            _ => {}
        }
    }
    let url = url.ok_or_else(|| Problem::new("it names no address"))?;
    builder.note("mcp-remote is not needed: the address behind it is reached by itself");
    remote::draft(builder, &url, kind, &headers)
}

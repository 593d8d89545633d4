//! From a `server.json` to an entry: which of its forms is taken, and what becomes of it.

use std::collections::BTreeMap;

use agentopia_domain::catalog::package::PackageRegistry;
use agentopia_domain::catalog::{
    self as catalog, CatalogStatus, Packaging, ToolVersion, VolumeTemplate, is_registry_name,
};
use agentopia_domain::remote::check_header;
use url::Url;

use super::{Argument, Input, KeyValue, Package, Server, Transport, Wrapped, inputs};
use crate::build::{Builder, version};
use crate::image::Reference;
use crate::mcp_servers::docker;
use crate::package::Spec;
use crate::{Draft, Form, Options, Problem, words};

/// In which order forms are taken: first what can be run today, on a machine of one's own before elsewhere.
const ORDER: [Form; 4] = [Form::Oci, Form::Remote, Form::Npm, Form::Pypi];

/// The entry.
pub(crate) fn draft(wrapped: &Wrapped, options: &Options) -> Result<Draft, Problem> {
    let server = &wrapped.server;
    if !is_registry_name(&server.name) {
        return Err(Problem::new(
            "its `name` is none: write namespace/name, such as com.example/weather",
        ));
    }
    if wrapped.status.as_deref() == Some("deleted") {
        return Err(Problem::new("its registry says that it was deleted"));
    }
    let form = choose(server, options)?;
    let (space, last) = server.name.split_once('/').unwrap_or(("", &server.name));
    let repository = server.repository.as_ref().map(|it| it.url.as_str());
    let mut builder = Builder {
        slug: words::slug(last)?,
        name: server.title.clone().unwrap_or_else(|| last.to_owned()),
        registry_name: Some(server.name.clone()),
        description: server.description.clone(),
        developer: space.to_owned(),
        documentation: words::link(server.website_url.as_deref().or(repository)),
        icon: words::link(server.icons.first().map(|icon| icon.src.as_str())),
        ..Builder::default()
    };
    if wrapped.status.as_deref() == Some("deprecated") {
        builder.status = Some(CatalogStatus::Deprecated);
        builder.note("its makers say that it is deprecated");
    }
    let others: Vec<&str> = forms(server)
        .into_iter()
        .filter(|other| *other != form)
        .map(Form::as_str)
        .collect();
    if !others.is_empty() && options.form.is_none() {
        builder.note(format!(
            "the form {} was taken; it also comes as {}",
            form.as_str(),
            others.join(", ")
        ));
    }
    let package = |kind: &str| server.packages.iter().find(|it| it.registry_type == kind);
    match form {
        Form::Remote => {
            let usual = server
                .remotes
                .iter()
                .find(|it| it.kind == "streamable-http");
            let one = usual.or(server.remotes.first());
            remote(
                builder,
                server,
                one.ok_or_else(|| Problem::new("it has no address"))?,
            )
        }
        Form::Oci => match package("oci").or_else(|| package("docker")) {
            Some(package) => image(builder, server, package),
            None => Err(Problem::new("it has no image")),
        },
        Form::Npm | Form::Pypi => match package(form.as_str()) {
            Some(it) => packaged(builder, server, it, form),
            None => Err(Problem::new("it has no package")),
        },
    }
}

/// The forms that can be taken, each once.
fn forms(server: &Server) -> Vec<Form> {
    let has = |form: &Form| match form {
        Form::Remote => !server.remotes.is_empty(),
        Form::Oci => server
            .packages
            .iter()
            .any(|it| matches!(it.registry_type.as_str(), "oci" | "docker")),
        form => server
            .packages
            .iter()
            .any(|it| it.registry_type == form.as_str()),
    };
    ORDER.into_iter().filter(has).collect()
}

fn choose(server: &Server, options: &Options) -> Result<Form, Problem> {
    let forms = forms(server);
    let words: Vec<&str> = forms.iter().map(|form| form.as_str()).collect();
    match (options.form, forms.first()) {
        (Some(form), _) if forms.contains(&form) => Ok(form),
        (Some(form), Some(_)) => Err(Problem::new(format!(
            "it does not come as {}, but as {}",
            form.as_str(),
            words.join(", ")
        ))),
        (None, Some(form)) => Ok(*form),
        (_, None) => Err(nothing_to_run(server)),
    }
}

fn nothing_to_run(server: &Server) -> Problem {
    let mut kinds: Vec<String> = server
        .packages
        .iter()
        .map(|it| words::line(&it.registry_type, 20))
        .collect();
    kinds.dedup();
    if kinds.is_empty() {
        return Problem::new(
            "it names neither a package nor an address: there is nothing that could be run",
        );
    }
    Problem::new(format!(
        "it comes as {} only; oci, npm, pypi and addresses can be imported{}",
        kinds.join(", "),
        if kinds.iter().any(|kind| kind == "mcpb") {
            " (mcpb bundles are made for programs on people's own computers)"
        } else {
            ""
        }
    ))
}

fn image(mut builder: Builder, server: &Server, package: &Package) -> Result<Draft, Problem> {
    let mut text = package.identifier.clone();
    let base = package
        .registry_base_url
        .as_deref()
        .and_then(|it| Url::parse(it).ok());
    let first = text.split('/').next().unwrap_or_default();
    if let Some(host) = base.as_ref().and_then(Url::host_str)
        && !(text.contains('/') && (first.contains(['.', ':']) || first == "localhost"))
    {
        text = format!("{host}/{text}");
    }
    let mut reference = Reference::parse(&text)?;
    let says_tag = text
        .rsplit('/')
        .next()
        .is_some_and(|last| last.contains(':'));
    if !says_tag && reference.digest.is_none() {
        // Before 2025-10-11 the tag stood in `version`.
        let tag = package.version.clone().filter(|tag| catalog::is_tag(tag));
        reference.tag = tag.or(reference.tag);
    }
    runtime(&mut builder, &package.runtime_arguments)?;
    inputs_of(&mut builder, package)?;
    let of_image = reference.version();
    let version = ToolVersion {
        version: named(server, &of_image.version),
        ..of_image
    };
    let transport = spoken(&mut builder, package)?;
    let image = reference.repository;
    builder.finish(Packaging::DockerImage { image }, transport, version)
}

fn packaged(
    mut builder: Builder,
    server: &Server,
    package: &Package,
    form: Form,
) -> Result<Draft, Problem> {
    let registry = match form {
        Form::Pypi => PackageRegistry::Pypi,
        _ => PackageRegistry::Npm,
    };
    let text = match package.version.as_deref().filter(|it| !it.is_empty()) {
        Some(version) => format!("{}@{version}", package.identifier),
        None => package.identifier.clone(),
    };
    let spec = Spec::parse(registry, &text)?;
    let mut args = Vec::new();
    for argument in &package.runtime_arguments {
        args.extend(rendered(argument)?);
    }
    inputs_of(&mut builder, package)?;
    let (of_package, lookup) = spec.version(args);
    builder.lookup = Some(lookup);
    let version = ToolVersion {
        version: named(server, &of_package.version),
        ..of_package
    };
    let transport = spoken(&mut builder, package)?;
    let packaging = Packaging::Package {
        registry,
        name: spec.name,
        program: None,
    };
    builder.finish(packaging, transport, version)
}

/// What the entry's version is called: as the server's own, or as the package's.
fn named(server: &Server, other: &str) -> String {
    let own = words::line(&server.version, 128);
    if own.is_empty() {
        other.to_owned()
    } else {
        own
    }
}

fn inputs_of(builder: &mut Builder, package: &Package) -> Result<(), Problem> {
    for argument in &package.package_arguments {
        inputs::argument(builder, argument)?;
    }
    for variable in &package.environment_variables {
        inputs::variable(builder, variable)?;
    }
    Ok(())
}

/// An argument of a runtime as it is without anybody's doing.
fn rendered(argument: &Argument) -> Result<Vec<String>, Problem> {
    let value = inputs::own_value(&argument.input);
    if value
        .as_deref()
        .is_some_and(|value| value.contains(['{', '}']))
        || argument.input.is_secret
    {
        return Err(Problem::new(
            "an argument of its runtime has to be filled in, which can't be done here: take the server's own \
             arguments or variables for it",
        ));
    }
    let name = argument.name.clone().filter(|_| argument.kind == "named");
    Ok(name.into_iter().chain(value).collect())
}

/// Arguments of `docker run`. Variables among them are the server's own.
fn runtime(builder: &mut Builder, arguments: &[Argument]) -> Result<(), Problem> {
    let mut flags = Vec::new();
    for argument in arguments {
        let text = argument.input.value.as_deref().unwrap_or_default();
        let name = argument.name.as_deref().unwrap_or_default();
        if matches!(name, "-e" | "--env") {
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (text, None),
            };
            let input = Input {
                value,
                ..argument.input.clone()
            };
            let name = name.to_owned();
            inputs::variable(builder, &KeyValue { name, input })?;
        } else if matches!(name, "-v" | "--volume" | "--mount") {
            // Only where it is inside matters; what is given for outside never counts.
            flags.push(name.to_owned());
            flags.push(inputs::filled(text, &argument.input.variables));
        } else {
            flags.extend(rendered(argument)?);
        }
    }
    flags.push("image".to_owned());
    let run = docker::Run::parse(&flags)?;
    if let Some(mount_path) = run.mount {
        if mount_path.contains(['{', '}']) {
            return Err(Problem::new(
                "where it mounts its directory has to be filled in: write the path itself",
            ));
        }
        builder.volume = Some(VolumeTemplate { mount_path });
    }
    for note in run.notes {
        builder.note(note);
    }
    Ok(())
}

/// How a package speaks.
fn spoken(builder: &mut Builder, package: &Package) -> Result<catalog::Transport, Problem> {
    let transport = &package.transport;
    match transport.kind.as_str() {
        "" | "stdio" => return Ok(catalog::Transport::default()),
        "streamable-http" | "sse" => {}
        _ => {
            return Err(Problem::new(
                "its transport is none of stdio, streamable-http and sse",
            ));
        }
    }
    // `{port}` means an argument or a variable of that name.
    let mut known: BTreeMap<String, Input> = transport.variables.clone();
    for variable in &package.environment_variables {
        known.insert(variable.name.clone(), variable.input.clone());
    }
    for argument in &package.package_arguments {
        for name in [&argument.name, &argument.value_hint].into_iter().flatten() {
            known.insert(name.clone(), argument.input.clone());
            known.insert(
                name.trim_start_matches('-').to_owned(),
                argument.input.clone(),
            );
        }
    }
    let text = inputs::filled(transport.url.as_deref().unwrap_or_default(), &known);
    let url = Url::parse(&text)
        .ok()
        .filter(|url| url.port_or_known_default().is_some());
    let url = url.ok_or_else(|| {
        Problem::new(
            "the address at which it listens can't be told: write port and path into its `url`",
        )
    })?;
    let port = url.port_or_known_default().unwrap_or_default();
    let path = url.path().to_owned();
    builder.note(format!(
        "it has to listen on port {port} of all addresses (0.0.0.0) of its container"
    ));
    Ok(match transport.kind.as_str() {
        "sse" => catalog::Transport::Sse { port, path },
        _ => catalog::Transport::StreamableHttp { port, path },
    })
}

fn remote(mut builder: Builder, server: &Server, remote: &Transport) -> Result<Draft, Problem> {
    let transport = crate::mcp_servers::remote::transport(Some(&remote.kind))?;
    let mut headers = BTreeMap::new();
    for KeyValue { name, input } in &remote.headers {
        if let Err(problem) = check_header(name, "x", &[]) {
            builder.note(format!("a header was left out: {problem}"));
            continue;
        }
        let fixed = inputs::own_value(input)
            .filter(|text| !text.contains(['{', '}']) && !inputs::is_secret(name, input));
        if let Some(text) = fixed {
            headers.insert(name.clone(), text);
            continue;
        }
        let (text, secrets) = of_secrets(name, input);
        for (secret, input) in secrets {
            let description = input.description.clone().unwrap_or_default();
            let description = format!("{description} (sent in the header {name})");
            builder.secret(
                &secret,
                description.trim(),
                input.is_required
                    || remote
                        .headers
                        .iter()
                        .any(|it| it.name == *name && it.input.is_required),
            )?;
        }
        headers.insert(name.clone(), text);
    }
    let text = inputs::filled(remote.url.as_deref().unwrap_or_default(), &remote.variables);
    let url = crate::mcp_servers::remote::address(&mut builder, &text)?;
    let packaging = Packaging::Remote {
        url,
        headers,
        transport,
    };
    builder.finish(
        packaging,
        catalog::Transport::default(),
        version(&named(server, "1")),
    )
}

/// A header's value made of secrets: `Bearer {token}` gives `Bearer ${secret:TOKEN}`.
fn of_secrets<'a>(name: &str, input: &'a Input) -> (String, Vec<(String, &'a Input)>) {
    let mut secrets = Vec::new();
    let mut text = input.value.clone().unwrap_or_default();
    for (variable, inner) in &input.variables {
        let braced = format!("{{{variable}}}");
        if text.contains(&braced) {
            let secret = words::variable(variable);
            text = text.replace(&braced, &format!("${{secret:{secret}}}"));
            secrets.push((secret, inner));
        }
    }
    if secrets.is_empty() {
        let secret = words::variable(name);
        return (format!("${{secret:{secret}}}"), vec![(secret, input)]);
    }
    (text, secrets)
}

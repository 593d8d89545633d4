//! What is gathered about one server until it is a definition.

use std::collections::BTreeMap;

use agentopia_domain::catalog::{
    CatalogDefinition, CatalogStatus, ConfigBinding, ConfigTarget, ConfigTemplate, Packaging,
    SecretRequirement, ToolVersion, Transport, VolumeTemplate, is_env_name,
};
use agentopia_domain::egress::Egress;
use agentopia_domain::resources::Resources;
use serde_json::{Map, Value, json};

use crate::{Draft, Lookup, MAX_INPUTS, Problem, words};

/// A setting that people can give.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setting {
    /// What it is called, if that is still free.
    pub(crate) name: String,
    /// What it is.
    pub(crate) description: String,
    /// `string`, `number`, `boolean` or `array`.
    pub(crate) kind: &'static str,
    /// The only values there are; any if empty.
    pub(crate) choices: Vec<String>,
    /// The value if none is given.
    pub(crate) default: Option<Value>,
    /// Whether the tool can't be deployed without it.
    pub(crate) required: bool,
}

/// See the module's header.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    pub(crate) slug: String,
    pub(crate) name: String,
    pub(crate) registry_name: Option<String>,
    pub(crate) description: String,
    pub(crate) developer: String,
    pub(crate) documentation: Option<String>,
    pub(crate) icon: Option<String>,
    pub(crate) status: Option<CatalogStatus>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) args: Vec<String>,
    pub(crate) volume: Option<VolumeTemplate>,
    /// Where it may go to.
    pub(crate) egress: Egress,
    pub(crate) lookup: Option<Lookup>,
    pub(crate) secrets: Vec<SecretRequirement>,
    pub(crate) properties: Map<String, Value>,
    pub(crate) required: Vec<Value>,
    pub(crate) defaults: Map<String, Value>,
    pub(crate) bindings: Vec<ConfigBinding>,
    pub(crate) notes: Vec<String>,
}

impl Builder {
    /// Something that the person should know.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }

    /// Adds a setting and returns the name that it got.
    pub(crate) fn setting(&mut self, setting: Setting) -> String {
        let wanted = words::property(&setting.name);
        let mut name = wanted.clone();
        let mut number = 2;
        while self.properties.contains_key(&name) {
            name = format!("{wanted}_{number}");
            number += 1;
        }
        let kind = if setting.kind.is_empty() {
            "string"
        } else {
            setting.kind
        };
        let mut schema = match kind {
            "array" => json!({"type": "array", "items": {"type": "string"}}),
            kind => json!({"type": kind}),
        };
        if !setting.description.is_empty() {
            schema["description"] = words::line(&setting.description, 1000).into();
        }
        if !setting.choices.is_empty() {
            match kind {
                "array" => schema["items"]["enum"] = json!(setting.choices),
                "string" => schema["enum"] = json!(setting.choices),
                _ => {}
            }
        }
        self.properties.insert(name.clone(), schema);
        if let Some(default) = setting.default {
            self.defaults.insert(name.clone(), default);
        }
        if setting.required {
            self.required.push(name.clone().into());
        }
        name
    }

    /// Says where a setting goes.
    pub(crate) fn bind(&mut self, property: String, target: ConfigTarget) {
        self.bindings.push(ConfigBinding { property, target });
    }

    /// An argument that is always the same. Behind arguments that people give it is a setting with one
    /// possible value: bindings keep the order.
    pub(crate) fn fixed_arg(&mut self, text: &str) {
        let variable = |binding: &ConfigBinding| {
            matches!(
                binding.target,
                ConfigTarget::Arg { .. } | ConfigTarget::ArgText { .. }
            )
        };
        if !self.bindings.iter().any(variable) {
            self.args.push(text.to_owned());
            return;
        }
        let name = self.setting(Setting {
            name: "fixed_argument".to_owned(),
            description: "Belongs to the command line and stays as it is.".to_owned(),
            default: Some(text.into()),
            ..Setting::default()
        });
        self.properties[&name]["const"] = text.into();
        self.bind(name, ConfigTarget::Arg { flag: None });
    }

    /// A secret that the tool reads from a variable.
    pub(crate) fn secret(
        &mut self,
        name: &str,
        description: &str,
        required: bool,
    ) -> Result<(), Problem> {
        if !is_env_name(name) {
            return Err(Problem::new(
                "a secret has a name that is none of an environment variable: use letters, digits and `_`",
            ));
        }
        if self.secrets.iter().all(|secret| secret.name != name) {
            self.secrets.push(SecretRequirement {
                name: name.to_owned(),
                description: words::line(description, 1000),
                required,
                per_link: false,
            });
        }
        Ok(())
    }

    /// The entry.
    pub(crate) fn finish(
        mut self,
        packaging: Packaging,
        transport: Transport,
        version: ToolVersion,
    ) -> Result<Draft, Problem> {
        let inputs = self.properties.len() + self.secrets.len() + self.args.len() + self.env.len();
        if inputs > MAX_INPUTS {
            return Err(Problem::new(format!(
                "it has {inputs} arguments and variables; {MAX_INPUTS} are taken at most"
            )));
        }
        let texts = [self.args.join(""), self.env.values().cloned().collect()];
        if texts.iter().any(|text| text.contains('\0')) {
            return Err(Problem::new("no program can be given a zero byte"));
        }
        let schema = match self.properties.is_empty() {
            true => Value::Null,
            false => json!({
                "type": "object",
                "properties": self.properties,
                "required": self.required,
                "additionalProperties": false,
            }),
        };
        let definition = CatalogDefinition {
            name: words::name(&[&self.name, &self.slug])?,
            registry_name: self.registry_name.take(),
            description: words::line(&self.description, 2000),
            developer_organisation: words::line(&self.developer, 200),
            categories: Vec::new(),
            icon: self.icon.take(),
            documentation_url: self.documentation.take(),
            packaging,
            transport,
            default_version: version.version.clone(),
            versions: vec![ToolVersion {
                args: self.args,
                env: self.env,
                ..version
            }],
            config: ConfigTemplate {
                schema,
                defaults: self.defaults,
                bindings: self.bindings,
            },
            secrets: self.secrets,
            resources: Resources::default(),
            volume: self.volume,
            direct_access: None,
            egress: self.egress,
            idle_seconds: None,
            status: self.status.unwrap_or(CatalogStatus::Available),
            slug: self.slug,
        };
        definition.check().map_err(|problems| {
            let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Problem::new(all.join("; "))
        })?;
        Ok(Draft {
            definition,
            notes: self.notes,
            lookup: self.lookup,
            transport_is_labelled: false,
        })
    }
}

/// A version with nothing but its name.
pub(crate) fn version(name: &str) -> ToolVersion {
    ToolVersion {
        version: name.to_owned(),
        tag: None,
        digest: None,
        args: Vec::new(),
        env: BTreeMap::new(),
        process: Vec::new(),
        resources: None,
        transport: None,
        package: None,
    }
}

//! Projects: every droplet is in one, a new one in the default project.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::State;
use super::account::Account;
use super::ids::{DropletId, ProjectId};
use crate::dice::Dice;
use crate::faults::{Occasion, Subject};
use crate::refusal::{Refusal, RefusalKind};

const NAME_LENGTH: usize = 175;
const TEXT_LENGTH: usize = 255;

/// Purposes that are kept as they are; others get `Other: ` before them.
const PURPOSES: [&str; 9] = [
    "Just trying out DigitalOcean",
    "Class project / Educational purposes",
    "Website or blog",
    "Web Application",
    "Service or API",
    "Mobile Application",
    "Machine learning / AI / Data processing",
    "IoT",
    "Operational / Developer tooling",
];

/// What URNs can name; only droplets exist here.
const URN_KINDS: [&str; 9] = [
    "dbaas",
    "domain",
    "droplet",
    "floatingip",
    "loadbalancer",
    "space",
    "volume",
    "kubernetes",
    "vpc",
];

/// A project.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    pub(crate) id: ProjectId,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) purpose: String,
    pub(crate) environment: Option<Stage>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

/// What DigitalOcean calls a project's environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stage {
    Development,
    Staging,
    Production,
}

/// What is to be set about a project.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProjectChange {
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) purpose: Option<String>,
    pub(crate) environment: Option<Stage>,
    pub(crate) is_default: Option<bool>,
}

/// What became of a resource that was to be assigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) urn: String,
    pub(crate) status: AssignmentStatus,
    pub(crate) assigned_at: Option<DateTime<Utc>>,
}

/// In the API's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AssignmentStatus {
    Ok,
    NotFound,
    Assigned,
    AlreadyAssigned,
    ServiceDown,
}

/// All projects.
#[derive(Debug)]
pub(crate) struct Projects {
    /// In the order of their making.
    all: Vec<Project>,
    default: ProjectId,
}

impl Projects {
    pub(super) fn new(dice: &mut Dice, account: &Account, now: DateTime<Utc>) -> Self {
        let id = ProjectId(dice.uuid());
        let first = Project {
            id,
            name: format!("project-{}", &account.team.simple().to_string()[..8]),
            description: "Update your project information under Settings".to_owned(),
            purpose: PURPOSES[0].to_owned(),
            environment: Some(Stage::Development),
            created_at: now,
            updated_at: now,
        };
        Self {
            all: vec![first],
            default: id,
        }
    }

    pub(crate) fn default_id(&self) -> ProjectId {
        self.default
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Project> {
        self.all.iter()
    }

    pub(crate) fn get(&self, id: ProjectId) -> Option<&Project> {
        self.all.iter().find(|project| project.id == id)
    }

    /// # Errors
    /// 404 where there is none, 409 for a name that is taken, 422 for what is too long or missing.
    pub(crate) fn change(
        &mut self,
        now: DateTime<Utc>,
        id: ProjectId,
        change: ProjectChange,
    ) -> Result<&Project, Refusal> {
        if self.get(id).is_none() {
            return Err(Refusal::not_found());
        }
        self.check(&change, Some(id))?;
        if change.is_default == Some(false) && id == self.default {
            return Err(Refusal::unprocessable(
                "There has to be a default project: make another one the default.",
            ));
        }
        if change.is_default == Some(true) {
            self.default = id;
        }
        let project = (self.all.iter_mut().find(|project| project.id == id))
            .ok_or_else(Refusal::not_found)?;
        project.apply(change);
        project.updated_at = now;
        Ok(project)
    }

    fn check(&self, change: &ProjectChange, of: Option<ProjectId>) -> Result<(), Refusal> {
        let too_long = |text: &Option<String>, most| {
            text.as_ref()
                .is_some_and(|text| text.chars().count() > most)
        };
        let blank = |text: &Option<String>| text.as_ref().is_some_and(String::is_empty);
        if blank(&change.name) || blank(&change.purpose) {
            return Err(Refusal::unprocessable("name and purpose can't be blank"));
        }
        if too_long(&change.name, NAME_LENGTH)
            || too_long(&change.description, TEXT_LENGTH)
            || too_long(&change.purpose, TEXT_LENGTH)
        {
            return Err(Refusal::unprocessable(
                "name is limited to 175 characters, description and purpose to 255",
            ));
        }
        let taken = |project: &Project| Some(&project.name) == change.name.as_ref();
        if self
            .all()
            .any(|project| taken(project) && Some(project.id) != of)
        {
            return Err(Refusal::conflict("name is already in use"));
        }
        Ok(())
    }
}

impl Project {
    fn apply(&mut self, change: ProjectChange) {
        if let Some(name) = change.name {
            self.name = name;
        }
        if let Some(description) = change.description {
            self.description = description;
        }
        if let Some(purpose) = change.purpose {
            self.purpose = if PURPOSES.contains(&purpose.as_str()) {
                purpose
            } else {
                format!("Other: {purpose}")
            };
        }
        self.environment = change.environment.or(self.environment);
    }
}

impl State {
    /// # Errors
    /// 409 for a name that is taken, 422 for what is too long or missing.
    pub(crate) fn create_project(
        &mut self,
        now: DateTime<Utc>,
        wish: ProjectChange,
    ) -> Result<&Project, Refusal> {
        if wish.name.is_none() || wish.purpose.is_none() {
            return Err(Refusal::unprocessable("name and purpose can't be blank"));
        }
        self.projects.check(&wish, None)?;
        let id = ProjectId(self.dice.uuid());
        self.projects.all.push(Project {
            id,
            name: String::new(),
            description: String::new(),
            purpose: String::new(),
            environment: None,
            created_at: now,
            updated_at: now,
        });
        self.projects.change(now, id, wish)
    }

    /// # Errors
    /// 404 where there is none, 412 while it has resources or is the default.
    pub(crate) fn delete_project(&mut self, id: ProjectId) -> Result<(), Refusal> {
        let refuse = |why: &str| Err(Refusal::new(RefusalKind::PreconditionFailed, why));
        if self.projects.get(id).is_none() {
            return Err(Refusal::not_found());
        }
        if id == self.projects.default {
            return refuse("cannot delete the default project");
        }
        if self
            .droplets
            .existing()
            .any(|droplet| droplet.project == id)
        {
            return refuse("cannot delete a project with resources");
        }
        self.projects.all.retain(|project| project.id != id);
        Ok(())
    }

    /// # Errors
    /// 404 where there is no such project.
    pub(crate) fn project_resources(&self, id: ProjectId) -> Result<Vec<Assignment>, Refusal> {
        self.projects.get(id).ok_or_else(Refusal::not_found)?;
        Ok(self
            .droplets
            .existing()
            .filter(|droplet| droplet.project == id)
            .map(|droplet| Assignment {
                urn: format!("do:droplet:{}", droplet.id),
                status: AssignmentStatus::Ok,
                assigned_at: Some(droplet.assigned_at),
            })
            .collect())
    }

    /// Moves resources to a project; what became of each is told for each.
    ///
    /// # Errors
    /// 404 where there is no such project, 422 where one of the names is no URN.
    pub(crate) fn assign(
        &mut self,
        now: DateTime<Utc>,
        project: ProjectId,
        urns: Vec<String>,
    ) -> Result<Vec<Assignment>, Refusal> {
        self.projects.get(project).ok_or_else(Refusal::not_found)?;
        let parsed: BTreeMap<_, _> = urns
            .iter()
            .map(|urn| parse_urn(urn).map(|id| (urn.clone(), id)))
            .collect::<Option<_>>()
            .ok_or_else(|| Refusal::unprocessable("resource urn is invalid"))?;
        Ok(urns
            .into_iter()
            .map(|urn| {
                let droplet = parsed.get(&urn).copied().flatten();
                self.assign_one(now, project, urn, droplet)
            })
            .collect())
    }

    fn assign_one(
        &mut self,
        now: DateTime<Utc>,
        project: ProjectId,
        urn: String,
        droplet: Option<DropletId>,
    ) -> Assignment {
        let Some(droplet) = droplet.and_then(|id| self.droplets.get_mut(id)) else {
            return Assignment {
                urn,
                status: AssignmentStatus::NotFound,
                assigned_at: None,
            };
        };
        let subject = Subject {
            droplet: Some(droplet.id.0),
            name: &droplet.name,
            tags: &droplet.tags,
        };
        let down = self
            .faults
            .of_resource(Occasion::Assign, &subject, &mut self.dice);
        let status = if down.is_some() {
            AssignmentStatus::ServiceDown
        } else if droplet.project == project {
            AssignmentStatus::AlreadyAssigned
        } else {
            droplet.project = project;
            droplet.assigned_at = now;
            AssignmentStatus::Assigned
        };
        Assignment {
            urn,
            status,
            assigned_at: Some(droplet.assigned_at),
        }
    }
}

/// The droplet that a URN names; `Some(None)` for a URN of something that can't be here.
fn parse_urn(urn: &str) -> Option<Option<DropletId>> {
    let (kind, id) = urn.strip_prefix("do:")?.split_once(':')?;
    if !URN_KINDS.contains(&kind) {
        return None;
    }
    let droplet = (kind == "droplet").then(|| id.parse().ok().map(DropletId));
    Some(droplet.flatten())
}

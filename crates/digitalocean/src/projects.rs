//! Projects, the folders of DigitalOcean's control panel: `/v2/projects`.
//!
//! A droplet is made in the default project; a second call moves it.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::client::{Call, Client, Removal};
use crate::envelope::{Many, Resource};
use crate::error::Error;
use crate::ids::{DropletId, ProjectId};
use crate::open_enum::open_enum;
use crate::page::Pages;

/// A project.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Its name, unique in the account.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: Option<String>,
    /// For people.
    #[serde(default)]
    pub purpose: Option<String>,
    /// What it is for.
    #[serde(default)]
    pub environment: Option<ProjectEnvironment>,
    /// Whether new things are in it unless something else is said.
    #[serde(default)]
    pub is_default: bool,
    /// When it was made.
    #[serde(default)]
    pub created_at: Option<DateTime<Utc>>,
}

open_enum! {
    /// What a project is for.
    pub enum ProjectEnvironment {
        /// Development.
        Development = "Development",
        /// Staging.
        Staging = "Staging",
        /// Production.
        Production = "Production",
    }
}

/// A project, named in one of two ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProjectRef {
    /// The one in which new things are.
    Default,
    /// Any.
    Id(ProjectId),
}

impl ProjectRef {
    fn path(&self) -> [String; 2] {
        let project = match self {
            Self::Default => "default".to_owned(),
            Self::Id(id) => id.to_string(),
        };
        ["projects".to_owned(), project]
    }

    fn resources(&self) -> [String; 3] {
        let [projects, project] = self.path();
        [projects, project, "resources".to_owned()]
    }
}

/// A project that is not there yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewProject {
    /// Its name, at most 175 characters.
    pub name: String,
    /// For people, at most 255 characters.
    pub purpose: String,
    /// For people, at most 255 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<ProjectEnvironment>,
}

/// All that can be said about a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProjectSettings {
    /// Its name.
    pub name: String,
    /// For people.
    pub description: String,
    /// For people.
    pub purpose: String,
    /// What it is for.
    pub environment: ProjectEnvironment,
    /// Whether new things are to be in it.
    pub is_default: bool,
}

/// What changes of a project; the rest stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ProjectPatch {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<ProjectEnvironment>,
    /// Whether new things are to be in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_default: Option<bool>,
}

/// The name of a thing across all kinds of things.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Urn(pub String);

impl Urn {
    /// `do:droplet:<id>`.
    #[must_use]
    pub fn droplet(id: DropletId) -> Self {
        Self(format!("do:droplet:{id}"))
    }
}

impl fmt::Display for Urn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A thing in a project, or what became of putting it there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Assignment {
    /// The thing.
    pub urn: Urn,
    /// What became of it.
    pub status: AssignmentStatus,
    /// When it was put there.
    #[serde(default)]
    pub assigned_at: Option<DateTime<Utc>>,
}

impl Assignment {
    /// Whether the thing is in the project. An answer can be a success as a whole and still tell of
    /// things that are not.
    #[must_use]
    pub fn is_in(&self) -> bool {
        matches!(
            self.status,
            AssignmentStatus::Ok | AssignmentStatus::Assigned | AssignmentStatus::AlreadyAssigned
        )
    }
}

open_enum! {
    /// What became of putting a thing into a project.
    pub enum AssignmentStatus {
        /// It is in it.
        Ok = "ok",
        /// There is no such thing.
        NotFound = "not_found",
        /// It was put there.
        Assigned = "assigned",
        /// It was there.
        AlreadyAssigned = "already_assigned",
        /// Nobody knows; try again later.
        ServiceDown = "service_down",
    }
}

impl Resource for Project {
    const ONE: &'static str = "project";
    const MANY: &'static str = "projects";
}

impl Resource for Assignment {
    const ONE: &'static str = "resource";
    const MANY: &'static str = "resources";
}

/// See [`Client::projects`].
#[derive(Debug, Clone, Copy)]
pub struct ProjectsApi<'c>(pub(crate) &'c Client);

impl<'c> ProjectsApi<'c> {
    /// All projects.
    pub fn list(self) -> Pages<'c, Project> {
        Pages::new(self.0, Call::get("list projects", ["projects"]))
    }

    /// One project.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get(self, project: &ProjectRef) -> Result<Option<Project>, Error> {
        self.0
            .find(&Call::get("read a project", project.path()))
            .await
    }

    /// Makes a project.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create(self, project: &NewProject) -> Result<Project, Error> {
        self.0
            .one(&Call::post("create a project", ["projects"]).json(project)?)
            .await
    }

    /// Says everything about a project anew.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn replace(
        self,
        project: &ProjectRef,
        settings: &ProjectSettings,
    ) -> Result<Project, Error> {
        self.0
            .one(&Call::put("change a project", project.path()).json(settings)?)
            .await
    }

    /// Changes some of a project.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn patch(self, project: &ProjectRef, patch: &ProjectPatch) -> Result<Project, Error> {
        self.0
            .one(&Call::patch("change a project", project.path()).json(patch)?)
            .await
    }

    /// Deletes a project, which has to be empty and not the default one.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn delete(self, project: &ProjectId) -> Result<Removal, Error> {
        let path = ProjectRef::Id(project.clone()).path();
        self.0.remove(&Call::delete("delete a project", path)).await
    }

    /// What is in a project.
    pub fn resources(self, project: &ProjectRef) -> Pages<'c, Assignment> {
        let call = Call::get("list a project's resources", project.resources());
        Pages::new(self.0, call)
    }

    /// Puts things into a project, taking them out of the one they are in. Look at what became of
    /// each ([`Assignment::is_in`]).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn assign(
        self,
        project: &ProjectRef,
        things: &[Urn],
    ) -> Result<Vec<Assignment>, Error> {
        #[derive(Serialize)]
        struct Things<'a> {
            resources: &'a [Urn],
        }
        let call = Call::post("put resources into a project", project.resources()).repeatable();
        let call = call.json(&Things { resources: things })?;
        let many: Many<Assignment> = self.0.json(&call).await?;
        Ok(many.items)
    }
}

//! Projects.

use agentopia_digitalocean::projects::{
    NewProject, ProjectEnvironment, ProjectPatch, ProjectRef, ProjectSettings, Urn,
};
use agentopia_digitalocean::{Client, DropletId, ProjectId};

use super::{ok, some};

pub(super) async fn all(client: &Client) {
    let projects = client.projects();
    let id = ProjectId("4e1bfbc3-dc3e-41f2-a18f-1b4d7ba71679".into());
    ok(projects.list().all()).await;
    let new = NewProject {
        name: "agentopia".into(),
        purpose: "Machines of agents".into(),
        description: Some("Made by the control plane".into()),
        environment: Some(ProjectEnvironment::Production),
    };
    ok(projects.create(&new)).await;
    for project in [ProjectRef::Default, ProjectRef::Id(id.clone())] {
        some(projects.get(&project)).await;
        let settings = ProjectSettings {
            name: "agentopia".into(),
            description: String::new(),
            purpose: "Machines of agents".into(),
            environment: ProjectEnvironment::Staging,
            is_default: false,
        };
        ok(projects.replace(&project, &settings)).await;
        let patch = ProjectPatch {
            name: Some("renamed".into()),
            ..ProjectPatch::default()
        };
        ok(projects.patch(&project, &patch)).await;
        ok(projects.resources(&project).all()).await;
        let things = [Urn::droplet(DropletId(13_457_723))];
        ok(projects.assign(&project, &things)).await;
    }
    ok(projects.delete(&id)).await;
}

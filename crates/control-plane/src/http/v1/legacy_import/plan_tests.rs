use agentopia_domain::Ambient;
use agentopia_domain::catalog::CatalogDefinition;
use serde_json::json;

use super::*;

const AGENT: &str = "0191f0a0-0000-7000-8000-00000000000a";
const OTHER: &str = "0191f0a0-0000-7000-8000-00000000000b";

fn entry(more: Value) -> CatalogEntry {
    let mut text = json!({
        "slug": "search", "name": "Search", "status": "available",
        "packaging": {"type": "docker_image", "image": "search"},
        "transport": {"type": "stdio"},
        "versions": [{"version": "1", "tag": "1"}, {"version": "2", "tag": "2"}],
        "default_version": "2",
        "config": {"schema": {"type": "object", "properties": {"depth": {"type": "integer"}}}},
    });
    for (key, value) in more.as_object().unwrap() {
        text[key] = value.clone();
    }
    let definition: CatalogDefinition = serde_json::from_value(text).unwrap();
    let ambient = Ambient::system();
    CatalogEntry {
        id: ambient.new_id(),
        definition,
        created_at: ambient.now(),
        updated_at: ambient.now(),
    }
}

/// Users `a@b.c` and `d@e.f`, and one tool.
fn known(more: Value) -> Known {
    let account = || Ambient::system().new_id::<AccountId>();
    Known {
        users: vec![
            (account(), "a@b.c".to_owned()),
            (account(), "d@e.f".to_owned()),
        ],
        catalog: vec![entry(more)],
        accounts: HashMap::new(),
    }
}

/// `(row, agent, user, status)` and `(row, droplet, more)`.
fn request(
    droplets: &[(i32, &str, &str, &str)],
    tools: &[(i32, i32, Value)],
) -> LegacyImportRequest {
    let droplets: Vec<_> = droplets
        .iter()
        .map(|(id, agent, user, status)| {
            json!({"id": id, "agent_id": agent, "user_id": user, "status": status,
                "droplet_id": 1000 + id, "region": "fra1", "size": "s-1vcpu-1gb"})
        })
        .collect();
    let tools: Vec<_> = tools
        .iter()
        .map(|(id, droplet, more)| {
            let mut tool = json!({"id": id, "agent_droplet_id": droplet,
                "tool_catalog_id": "search", "status": "running", "version": "1"});
            for (key, value) in more.as_object().unwrap() {
                tool[key] = value.clone();
            }
            tool
        })
        .collect();
    let whole = json!({"agent_droplets": droplets, "agent_droplet_tools": tools});
    serde_json::from_value(whole).unwrap()
}

fn problems(planned: &Planned) -> Vec<&str> {
    let problems = planned.answer.problems.iter();
    problems.map(|it| it.problem.as_str()).collect()
}

#[test]
fn the_droplets_of_a_user_become_one_environment_whose_tools_agents_share() {
    let request = request(
        &[
            (1, AGENT, "a@b.c", "active"),
            (2, OTHER, "A@B.C", "active"),
            (3, "number 3", "d@e.f", "active"),
        ],
        &[
            (11, 1, json!({})),
            (12, 2, json!({})),
            (13, 2, json!({"config_details": {"depth": 3}})),
            (14, 2, json!({"status": "stopped"})),
            (15, 3, json!({"version": null})),
        ],
    );
    let planned = plan(&request, &known(json!({})));
    assert_eq!(problems(&planned), Vec::<&str>::new());
    let [first, second] = planned.answer.accounts.as_slice() else {
        panic!("{:?}", planned.answer.accounts);
    };
    assert_eq!(first.email, "a@b.c");
    assert_eq!(first.region.as_deref(), Some("fra1"));
    let agents: Vec<_> = first.agents.iter().map(|it| it.id.to_string()).collect();
    assert_eq!(agents, [AGENT, OTHER]);
    let shown: Vec<_> = first
        .instances
        .iter()
        .map(|it| {
            (
                it.name.as_str(),
                it.version.as_str(),
                it.running,
                it.rows.join(" "),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("search", "1", true, "11 12".to_owned()),
            ("search-2", "1", true, "13".to_owned()),
            ("search-3", "1", false, "14".to_owned()),
        ]
    );
    assert_eq!(first.links.len(), 4);
    assert_eq!(second.instances[0].version, "2", "the catalog's own");
    assert_eq!(planned.answer.old_droplets.len(), 3);
}

#[test]
fn tools_that_keep_data_are_not_shared() {
    let volume = known(json!({"volume": {"mount_path": "/data"}}));
    let droplets = [(1, AGENT, "a@b.c", "active"), (2, OTHER, "a@b.c", "active")];
    let tools = [(11, 1, json!({})), (12, 2, json!({}))];
    let planned = plan(&request(&droplets, &tools), &volume);
    assert_eq!(planned.answer.accounts[0].instances.len(), 2);
}

#[test]
fn what_is_gone_is_left_out_and_what_is_unclear_is_told_with_a_cure() {
    let mut request = request(
        &[
            (1, AGENT, "a@b.c", "active"),
            (2, AGENT, "a@b.c", "Deleted"),
            (3, OTHER, "stranger", "active"),
        ],
        &[
            (11, 1, json!({"status": "removed"})),
            (12, 2, json!({})),
            (13, 1, json!({"tool_catalog_id": 7})),
            (14, 1, json!({"version": "9"})),
            (15, 1, json!({"config_details": {"depth": "deep"}})),
            (16, 99, json!({})),
        ],
    );
    let known = known(json!({"secrets": [{"name": "KEY", "required": false}]}));
    let planned = plan(&request, &known);
    let told = problems(&planned).join("\n");
    for part in [
        "`--user stranger=EMAIL`",
        "`--tool 7=SLUG`",
        "`search` has the versions 1, 2",
        "config.depth",
        "there is no droplet 99",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(planned.answer.problems.len(), 5, "{told}");
    assert!(planned.answer.accounts[0].instances.is_empty());
    let old: Vec<_> = planned
        .answer
        .old_droplets
        .iter()
        .map(|it| &*it.id)
        .collect();
    assert_eq!(old, ["1", "3"], "what is deleted costs nothing any more");

    // The operator says who and what they are.
    request
        .users
        .insert("stranger".to_owned(), "d@e.f".to_owned());
    request.tools.insert("7".to_owned(), "search".to_owned());
    let planned = plan(&request, &known);
    assert_eq!(planned.answer.problems.len(), 3);
    assert_eq!(planned.answer.accounts.len(), 2);
}

#[test]
fn a_tool_that_runs_elsewhere_is_not_imported_and_it_is_told_what_to_do() {
    let droplets = [(1, AGENT, "a@b.c", "active")];
    let tools = [(11, 1, json!({})), (12, 1, json!({"status": "removed"}))];
    let asked = request(&droplets, &tools);
    for (packaging, deploy) in [
        (
            json!({"type": "remote"}),
            "`agentopia tools deploy search --url https://…`",
        ),
        (
            json!({"type": "remote", "url": "https://mcp.example/mcp"}),
            "`agentopia tools deploy search`",
        ),
    ] {
        let planned = plan(&asked, &known(json!({ "packaging": packaging })));
        let told = problems(&planned);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].contains(deploy) && told[0].contains("--tool"),
            "{told:?}"
        );
        let account = &planned.answer.accounts[0];
        assert_eq!(account.agents.len(), 1, "the agent is taken over");
        assert!(account.instances.is_empty() && account.links.is_empty());
    }
}

#[test]
fn an_agent_of_two_users_and_a_row_that_is_there_twice_are_told_of() {
    let request = request(
        &[
            (1, AGENT, "a@b.c", "active"),
            (2, AGENT, "d@e.f", "active"),
            (3, OTHER, "d@e.f", "active"),
            (3, "another", "a@b.c", "active"),
        ],
        &[
            (11, 1, json!({})),
            (12, 2, json!({})),
            (13, 3, json!({})),
            (13, 3, json!({"config_details": {"depth": 3}})),
        ],
    );
    let planned = plan(&request, &known(json!({})));
    let of = |it: &agentopia_api::legacy::ImportProblem| (it.table.clone(), it.id.clone());
    let mut told: Vec<_> = planned.answer.problems.iter().map(of).collect();
    told.sort();
    let expected = [
        ("agent_droplet_tools", "13"),
        ("agent_droplets", "1"),
        ("agent_droplets", "2"),
        ("agent_droplets", "3"),
    ];
    assert_eq!(
        told,
        expected.map(|(table, id)| (table.to_owned(), id.to_owned()))
    );
    let [first, second] = planned.answer.accounts.as_slice() else {
        panic!("{:?}", planned.answer.accounts);
    };
    assert!(first.agents.is_empty() && first.links.is_empty());
    let agents: Vec<_> = second.agents.iter().map(|it| it.id.to_string()).collect();
    assert_eq!(agents, [OTHER]);
    // Their tools are theirs all the same.
    assert_eq!((first.instances.len(), second.instances.len()), (1, 1));
    assert_eq!(second.links.len(), 1);
}

#[test]
fn a_tool_gets_the_secrets_that_its_owner_set_and_waits_for_them() {
    let mut known = known(json!({"secrets": [{"name": "KEY"}]}));
    let request = request(&[(1, AGENT, "a@b.c", "active")], &[(11, 1, json!({}))]);
    let told = problems(&plan(&request, &known)).join("");
    assert!(told.contains("agentopia secrets set KEY"), "{told}");

    let secret: SecretId = Ambient::system().new_id();
    let own = Belongings {
        secrets: BTreeMap::from([("KEY".to_owned(), secret)]),
        ..Belongings::default()
    };
    known.accounts.insert(known.users[0].0, own);
    let planned = plan(&request, &known);
    let id = planned.answer.accounts[0].instances[0].id;
    assert_eq!(planned.makings[&id].secrets["KEY"], secret);
}

#[test]
fn what_the_first_import_made_the_second_one_finds() {
    let mut known = known(json!({}));
    let request = request(&[(1, "agent 1", "a@b.c", "active")], &[(11, 1, json!({}))]);
    let first = plan(&request, &known).answer.accounts.remove(0);
    let (agent, instance) = (&first.agents[0], &first.instances[0]);
    let own = Belongings {
        has_environment: true,
        agents: BTreeMap::from([(agent.id, "renamed".to_owned())]),
        instances: BTreeMap::from([(instance.id, "renamed too".to_owned())]),
        links: BTreeSet::from([(agent.id, instance.id)]),
        secrets: BTreeMap::new(),
    };
    known.accounts.insert(first.account_id, own);
    let second = plan(&request, &known).answer.accounts.remove(0);
    assert_eq!(second.environment, ImportStep::Exists);
    assert_eq!(
        (second.agents[0].id, second.agents[0].step),
        (agent.id, ImportStep::Exists)
    );
    assert_eq!(second.instances[0].step, ImportStep::Exists);
    assert_eq!(second.instances[0].name, "renamed too");
    assert_eq!(second.links[0].step, ImportStep::Exists);
}

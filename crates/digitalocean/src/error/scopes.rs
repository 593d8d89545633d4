//! Which scopes a token needs for an operation, for the sentence that a token without them gets:
//! DigitalOcean's own says only that access is missing. From the API description, `security`.

/// Completes "give the token …". Nothing for operations of which that is not known.
pub(super) fn of(operation: &str) -> Option<&'static str> {
    Some(match operation {
        "create a droplet" => {
            "the scope droplet:create (with image:read and tag:create, and ssh_key:read where SSH \
             keys are configured)"
        }
        "read a droplet"
        | "list droplets"
        | "list droplets by name"
        | "list a droplet's actions"
        | "read a droplet's action" => "the scope droplet:read",
        "list droplets by tag" => "the scopes droplet:read and tag:read",
        "delete a droplet" => "the scope droplet:delete",
        "delete droplets by tag" => "the scopes droplet:delete and tag:read",
        "shut a droplet down"
        | "power a droplet off"
        | "power a droplet on"
        | "power-cycle a droplet"
        | "reboot a droplet"
        | "resize a droplet"
        | "act on droplets by tag" => "the scope droplet:update",
        "read an action" | "list actions" => "the scope actions:read",
        "list sizes" => "the scopes sizes:read and regions:read",
        "list regions" => "the scope regions:read",
        "read an image" | "list images" => "the scope image:read",
        "read an SSH key" | "list SSH keys" => "the scope ssh_key:read",
        "list tags" | "read a tag" => "the scope tag:read",
        "create a tag" | "tag resources" => "the scope tag:create",
        "list firewalls" | "read a firewall" | "list a droplet's firewalls" => {
            "the scope firewall:read"
        }
        "create a firewall" => "the scope firewall:create",
        "delete a firewall" => "the scope firewall:delete",
        "replace a firewall"
        | "add rules to a firewall"
        | "remove rules from a firewall"
        | "put droplets behind a firewall"
        | "take droplets out of a firewall"
        | "put tags behind a firewall"
        | "take tags out of a firewall" => "the scope firewall:update",
        "read a project" | "list projects" | "list a project's resources" => {
            "the scope project:read"
        }
        "put resources into a project" => "the scopes project:update and droplet:read",
        "read the account" => "the scope account:read",
        _ => return None,
    })
}

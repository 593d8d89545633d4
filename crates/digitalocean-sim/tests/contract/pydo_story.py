"""A droplet's life, told by DigitalOcean's official client: pydo_story.py URL TOKEN.

Asks until what it waits for has come; the caller gives up, not this script.
"""

import sys
import time

from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.policies import HeadersPolicy
from pydo import Client

URL, TOKEN = sys.argv[1:]
# pydo's own way to authenticate refuses addresses without TLS; this sends the same header.
bearer = HeadersPolicy({"Authorization": f"Bearer {TOKEN}"})
client = Client(token=TOKEN, endpoint=URL, authentication_policy=bearer)


def until(ask):
    """The first answer that is something."""
    while not (answer := ask()):
        time.sleep(0.05)
    return answer


def done(droplet, kind, **arguments):
    """Asks for an action and waits until it is completed."""
    action = client.droplet_actions.post(droplet, {"type": kind, **arguments})["action"]

    def ended():
        status = client.actions.get(action["id"])["action"]["status"]
        assert status != "errored", action
        return status == "completed"

    until(ended)


def shown(droplet):
    return client.droplets.get(droplet)["droplet"]


def gone(droplet):
    """pydo returns the body of a 404 that the contract tells of; it raises what the contract does not."""
    return client.droplets.get(droplet).get("id") == "not_found"


limit = client.account.get()["account"]["droplet_limit"]
assert limit == 25, limit
sizes = {size["slug"]: size for size in client.sizes.list(per_page=200)["sizes"]}
assert sizes["s-2vcpu-4gb"]["price_monthly"] == 24.0

made = client.droplets.create(
    {
        "name": "pydo.example.com",
        "region": "fra1",
        "size": "s-1vcpu-2gb",
        "image": "ubuntu-24-04-x64",
        "tags": ["env:pydo"],
        "user_data": "#cloud-config\n",
    }
)
droplet = made["droplet"]["id"]
assert made["droplet"]["status"] == "new", made
until(lambda: client.actions.get(made["links"]["actions"][0]["id"])["action"]["status"] == "completed")
until(lambda: [n for n in shown(droplet)["networks"]["v4"] if n["type"] == "public"])
listed = client.droplets.list(tag_name="env:pydo")
assert [d["id"] for d in listed["droplets"]] == [droplet] and listed["meta"]["total"] == 1, listed

rule = {"protocol": "tcp", "ports": "22", "sources": {"addresses": ["0.0.0.0/0", "::/0"]}}
firewall = client.firewalls.create({"name": "pydo", "inbound_rules": [rule], "tags": ["env:pydo"]})["firewall"]
until(lambda: client.firewalls.get(firewall["id"])["firewall"]["status"] == "succeeded")
web = {"inbound_rules": [{**rule, "ports": "all"}]}
client.firewalls.add_rules(firewall["id"], web)
kept = client.firewalls.get(firewall["id"])["firewall"]["inbound_rules"]
assert [r["ports"] for r in kept] == ["22", "0"], kept
client.firewalls.delete_rules(firewall["id"], {"inbound_rules": [kept[1]]})
assert len(client.firewalls.get(firewall["id"])["firewall"]["inbound_rules"]) == 1
client.firewalls.assign_droplets(firewall["id"], {"droplet_ids": [droplet]})
try:
    client.firewalls.create({"name": "pydo", "inbound_rules": [rule]})
    raise AssertionError("a name was given twice")
except HttpResponseError as error:
    assert error.status_code == 409, error

done(droplet, "shutdown")
until(lambda: shown(droplet)["status"] == "off")
done(droplet, "resize", size="s-2vcpu-4gb", disk=False)
resized = shown(droplet)
assert (resized["size_slug"], resized["disk"]) == ("s-2vcpu-4gb", 50), resized
done(droplet, "power_on")
until(lambda: shown(droplet)["status"] == "active")

assigned = client.projects.assign_resources_default({"resources": [f"do:droplet:{droplet}"]})
assert assigned["resources"][0]["status"] == "already_assigned", assigned

client.firewalls.delete(firewall["id"])
client.droplets.destroy(droplet)
until(lambda: gone(droplet))
assert client.droplets.list(tag_name="env:pydo")["droplets"] == []
print("pydo got along")

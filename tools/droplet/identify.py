

# Appended to cloud-init's cloudinit/sources/helpers/digitalocean.py by the image of the simulated
# droplet. cloud-init does not look at the DMI table inside a container, so this datasource would never
# find that it is meant.
_read_sysinfo_dmi = read_sysinfo  # noqa: F821


def read_sysinfo():
    try:
        with open("/run/droplet-id") as file:
            return (True, file.read().strip())
    except OSError:
        return _read_sysinfo_dmi()

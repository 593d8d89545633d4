//! Whether the programs that droplets download can run there. A droplet that could not start its management
//! agent would be billed until its creation is given up, fifteen minutes later: better not to begin.
//!
//! `tool-init` runs in tools' containers, which may have no C library at all, so it has to be static. `dtma` needs
//! the droplet's glibc to be at least the one that it was linked against; which one an image has is known
//! for DigitalOcean's own, and every machine looks for itself (`bootstrap.sh`).

use std::fmt;
use std::fs::File;
use std::path::Path;

use anyhow::Context as _;
use object::Endianness;
use object::elf::{EM_X86_64, FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use object::read::{ReadCache, ReadRef};

/// The glibc of DigitalOcean's images, by slug.
const IMAGES: [(&str, Version); 6] = [
    ("debian-11-x64", Version(2, 31)),
    ("debian-12-x64", Version(2, 36)),
    ("debian-13-x64", Version(2, 41)),
    ("ubuntu-20-04-x64", Version(2, 31)),
    ("ubuntu-22-04-x64", Version(2, 35)),
    ("ubuntu-24-04-x64", Version(2, 39)),
];

/// Of glibc.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u16, u16);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// How a program gets its C library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Linking {
    /// It has it in itself.
    Static,
    /// The machine's, of this version or a later one; any where it names none.
    Dynamic(Option<Version>),
}

/// Looks at both programs.
///
/// # Errors
/// When one of them can't run on a droplet of this image; the sentence says what to do.
pub(super) fn check(dtma: &Path, tool_init: &Path, image: &str) -> anyhow::Result<()> {
    let cannot = |path: &Path| format!("the program {} can't run on a droplet", path.display());
    if linking(tool_init).with_context(|| cannot(tool_init))? != Linking::Static {
        anyhow::bail!(
            "{}, in containers without a C library: take the static one that script/build-static \
             makes, and name it with `tool_init_binary` (AGENTOPIA_TOOL_INIT_BINARY)",
            cannot(tool_init)
        );
    }
    let linking = linking(dtma).with_context(|| cannot(dtma))?;
    fits(linking, image).with_context(|| cannot(dtma))?;
    match linking {
        Linking::Static => {}
        Linking::Dynamic(needed) => tracing::info!(
            program = %dtma.display(),
            glibc = needed.map(tracing::field::display),
            "the management agent needs the glibc of its machine"
        ),
    }
    Ok(())
}

/// An image that is not known here is left to the machine's own look.
fn fits(linking: Linking, image: &str) -> anyhow::Result<()> {
    let known = IMAGES.iter().find(|(slug, _)| *slug == image);
    if let (Linking::Dynamic(Some(needed)), Some((_, has))) = (linking, known) {
        anyhow::ensure!(
            needed <= *has,
            "it needs glibc {needed}, and the image {image} has {has}: take a later image \
             (DO_DEFAULT_IMAGE), or a `dtma` that was built on an older system (`dtma_binary`)"
        );
    }
    Ok(())
}

fn linking(path: &Path) -> anyhow::Result<Linking> {
    let file = File::open(path)?;
    let cache = ReadCache::new(file);
    read(&cache)
}

fn read<'data, R: ReadRef<'data>>(data: R) -> anyhow::Result<Linking> {
    let foreign = "it is no program for Linux on x86-64, which droplets are";
    let header = FileHeader64::<Endianness>::parse(data).context(foreign)?;
    let endian = header.endian().context(foreign)?;
    anyhow::ensure!(header.e_machine(endian) == EM_X86_64, foreign);
    let segments = header.program_headers(endian, data)?;
    if !segments.iter().any(|it| it.p_type(endian) == PT_INTERP) {
        return Ok(Linking::Static);
    }
    let mut latest = None;
    let sections = header.sections(endian, data)?;
    if let Some((mut libraries, strings)) = sections.gnu_verneed(endian, data)? {
        let strings = sections.strings(endian, data, strings)?;
        while let Some((_, mut versions)) = libraries.next()? {
            while let Some(version) = versions.next()? {
                latest = latest.max(glibc(version.name(endian, strings)?));
            }
        }
    }
    Ok(Linking::Dynamic(latest))
}

/// `GLIBC_2.34` is a version; `GLIBC_PRIVATE` and those of other libraries are not.
fn glibc(name: &[u8]) -> Option<Version> {
    let text = std::str::from_utf8(name).ok()?.strip_prefix("GLIBC_")?;
    let (major, minor) = text.split_once('.')?;
    let minor = minor.split('.').next()?;
    Some(Version(major.parse().ok()?, minor.parse().ok()?))
}

/// The smallest file that counts as a static program: for tests that never run it.
#[cfg(test)]
pub(super) fn static_program() -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    // An executable for x86-64, version 1; the sizes of its headers, of which it has none.
    bytes[16] = 2;
    bytes[18] = 62;
    bytes[20] = 1;
    bytes[52] = 64;
    bytes[54] = 56;
    bytes[58] = 64;
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glibc_that_an_image_lacks_is_seen_before_a_droplet_is_made() {
        let needs = |minor| Linking::Dynamic(Some(Version(2, minor)));
        fits(needs(39), "ubuntu-24-04-x64").unwrap();
        let error = fits(needs(39), "ubuntu-22-04-x64").unwrap_err().to_string();
        assert!(
            error.contains("needs glibc 2.39") && error.contains("has 2.35"),
            "{error}"
        );
        fits(Linking::Static, "ubuntu-20-04-x64").unwrap();
        fits(needs(99), "somebodys-own").unwrap();
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(glibc(b"GLIBC_2.2.5"), Some(Version(2, 2)));
        assert!(glibc(b"GLIBC_2.34") > glibc(b"GLIBC_2.4"));
        assert_eq!(glibc(b"GLIBC_PRIVATE"), None);
        assert_eq!(glibc(b"GCC_3.0"), None);
    }

    #[test]
    fn programs_are_read() {
        // This very test is linked to the system's C library.
        let own = linking(&std::env::current_exe().unwrap()).unwrap();
        assert!(
            matches!(own, Linking::Dynamic(Some(version)) if version >= Version(2, 17)),
            "{own:?}"
        );
        assert_eq!(read(&*static_program()).unwrap(), Linking::Static);
        let mut foreign = static_program();
        foreign[18] = 183;
        for bytes in [&b"#!/bin/sh\n"[..], b"", &foreign] {
            let error = read(bytes).unwrap_err();
            assert!(format!("{error:#}").contains("x86-64"), "{error:#}");
        }
    }

    #[test]
    fn a_tool_init_that_needs_a_c_library_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let fine = dir.path().join("static");
        std::fs::write(&fine, static_program()).unwrap();
        let dynamic = std::env::current_exe().unwrap();
        check(&fine, &fine, "ubuntu-24-04-x64").unwrap();
        let error = check(&fine, &dynamic, "ubuntu-24-04-x64").unwrap_err();
        assert!(
            error.to_string().contains("AGENTOPIA_TOOL_INIT_BINARY"),
            "{error}"
        );
    }
}

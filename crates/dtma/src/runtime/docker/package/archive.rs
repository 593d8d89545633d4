//! The files that go into a build's container, as a tar archive (POSIX ustar): the engine's only way in that
//! works wherever it runs and leaves nothing on the host.

/// A block of the format.
const BLOCK: usize = 512;

/// An archive that is being written.
#[derive(Debug, Default)]
pub(super) struct Archive(Vec<u8>);

impl Archive {
    /// A directory of this user and group. `path` has less than 100 bytes and ends with a slash.
    pub(super) fn directory(&mut self, path: &str, owner: u32) {
        self.header(path, owner, 0o755, 0, b'5');
    }

    /// A file of this user and group that everybody may read. `path` has less than 100 bytes.
    pub(super) fn file(&mut self, path: &str, owner: u32, content: &[u8]) {
        self.header(path, owner, 0o644, content.len(), b'0');
        self.0.extend_from_slice(content);
        let over = content.len() % BLOCK;
        if over > 0 {
            self.0.resize(self.0.len() + BLOCK - over, 0);
        }
    }

    /// The whole archive.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 2 * BLOCK, 0);
        self.0
    }

    fn header(&mut self, path: &str, owner: u32, mode: u32, size: usize, kind: u8) {
        let mut header = [0_u8; BLOCK];
        let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
        put(0, path.as_bytes());
        put(100, format!("{mode:07o}").as_bytes());
        put(108, format!("{owner:07o}").as_bytes());
        put(116, format!("{owner:07o}").as_bytes());
        put(124, format!("{size:011o}").as_bytes());
        put(136, b"00000000000");
        put(156, &[kind]);
        put(257, b"ustar\x0000");
        // The sum is made with spaces in its own place.
        put(148, b"        ");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&header);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn tar_itself_reads_it() {
        let mut archive = Archive::default();
        archive.directory("opt/", 0);
        archive.file("opt/a", 199_999, b"one\n");
        archive.file("opt/b", 199_999, &[b'x'; 512]);
        archive.file("opt/c", 199_999, b"");
        let mut tar = Command::new("tar")
            .args(["-tvf", "-", "--numeric-owner"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let bytes = archive.finish();
        tar.stdin.take().unwrap().write_all(&bytes).unwrap();
        let output = tar.wait_with_output().unwrap();
        assert!(output.status.success());
        let listed = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<Vec<&str>> = listed
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(lines[0][..3], ["drwxr-xr-x", "0/0", "0"]);
        assert_eq!(lines[1][..3], ["-rw-r--r--", "199999/199999", "4"]);
        assert_eq!((lines[2][2], lines[3][2]), ("512", "0"));
    }
}

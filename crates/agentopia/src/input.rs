//! What people and scripts tell us besides arguments: secrets, answers, text.
//!
//! A secret comes from a hidden prompt or from standard input, never from an argument: arguments
//! are in the shell's history and can be read by every process of the machine.

use std::io::{self, IsTerminal as _, Write as _};

use secrecy::SecretString;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Stdin};

use crate::failure::Failure;

/// The most that is read of standard input.
const MAX_INPUT: u64 = 16 << 20;

/// Asks several things in turn: a person at the terminal, or line by line of standard input.
#[derive(Debug)]
pub(crate) struct Questions {
    lines: Option<BufReader<Stdin>>,
}

impl Questions {
    /// Nothing is read yet.
    pub(crate) fn new() -> Self {
        let lines = (!io::stdin().is_terminal()).then(|| BufReader::new(tokio::io::stdin()));
        Self { lines }
    }

    /// Whether a person answers.
    pub(crate) fn of_a_person(&self) -> bool {
        self.lines.is_none()
    }

    /// A secret; `what` is how it is called.
    pub(crate) async fn secret(&mut self, what: &str) -> Result<SecretString, Failure> {
        let text = match &mut self.lines {
            None => hidden(what)?,
            Some(lines) => line(lines, what).await?,
        };
        if text.is_empty() {
            return Err(Failure::Usage(format!("the {what} is empty")));
        }
        Ok(SecretString::from(text))
    }

    /// A new secret; a person types it twice.
    pub(crate) async fn new_secret(&mut self, what: &str) -> Result<SecretString, Failure> {
        use secrecy::ExposeSecret as _;
        let first = self.secret(what).await?;
        if self.of_a_person() {
            let second = hidden(&format!("{what} again"))?;
            if first.expose_secret() != second {
                return Err(Failure::Usage(format!(
                    "the two inputs of the {what} differ"
                )));
            }
        }
        Ok(first)
    }

    /// Something that may be seen.
    pub(crate) async fn answer(&mut self, what: &str) -> Result<String, Failure> {
        let text = match &mut self.lines {
            None => visible(&format!("{what}: ")).await?,
            Some(lines) => line(lines, what).await?,
        };
        let text = text.trim().to_owned();
        if text.is_empty() {
            return Err(Failure::Usage(format!("the {what} is empty")));
        }
        Ok(text)
    }
}

/// One secret that may have several lines: from a hidden prompt, or all of standard input without
/// the line end at its end.
pub(crate) async fn secret(what: &str) -> Result<SecretString, Failure> {
    let mut text = if io::stdin().is_terminal() {
        hidden(what)?
    } else {
        all(what).await?
    };
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err(Failure::Usage(format!(
            "the {what} is empty; type it when asked, or give it on standard input"
        )));
    }
    Ok(SecretString::from(text))
}

/// All of standard input.
pub(crate) async fn all(what: &str) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    tokio::io::stdin()
        .take(MAX_INPUT + 1)
        .read_to_end(&mut bytes)
        .await
        .map_err(|error| Failure::other(error, "standard input can't be read"))?;
    if bytes.len() as u64 > MAX_INPUT {
        return Err(Failure::Usage(format!("the {what} is too large")));
    }
    String::from_utf8(bytes).map_err(|_| Failure::Usage(format!("the {what} is no UTF-8 text")))
}

/// Asks before something that can't be undone, unless the answer was given beforehand.
pub(crate) async fn confirm(yes: bool, question: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(format!(
            "{question} Nobody is there to answer: give --yes to go on"
        )));
    }
    let answer = visible(&format!("{question} [y/N] ")).await?;
    if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(Failure::Usage("nothing was changed".to_owned()))
}

/// Reads from the terminal without showing what is typed. This blocks the program, which has
/// nothing else to do; Ctrl-C comes back as an error.
fn hidden(what: &str) -> Result<String, Failure> {
    rpassword::prompt_password(format!("{what}: ")).map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted => Failure::Interrupted,
        _ => Failure::other(error, "the terminal can't be read"),
    })
}

async fn visible(prompt: &str) -> Result<String, Failure> {
    let _ = write!(io::stderr(), "{prompt}");
    let _ = io::stderr().flush();
    line(&mut BufReader::new(tokio::io::stdin()), "answer").await
}

async fn line(lines: &mut BufReader<Stdin>, what: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let read = lines
        .read_line(&mut text)
        .await
        .map_err(|error| Failure::other(error, "standard input can't be read"))?;
    if read == 0 {
        return Err(Failure::Usage(format!(
            "standard input ended before the {what}; give one value a line"
        )));
    }
    let length = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(length);
    Ok(text)
}

//! Asking before something is overwritten or deleted.

use std::io::{IsTerminal, Write};

use super::signals::Signals;
use crate::{Error, Result};

/// Asks the question on the terminal; `yes` answers it.
pub(super) async fn confirm(yes: bool, question: String, signals: &Signals) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Error::Invalid(
            "there is no terminal to ask on: confirm with --yes".to_owned(),
        ));
    }
    // On a thread of its own, so that a signal ends the wait.
    let asked = tokio::task::spawn_blocking(move || {
        let mut answer = String::new();
        write!(std::io::stderr(), "{question} [y/N] ")
            .and_then(|()| std::io::stderr().flush())
            .and_then(|()| std::io::stdin().read_line(&mut answer))
            .map(|_| answer)
    });
    let asked = async { Ok(asked.await) };
    match signals.or_interrupted(asked).await? {
        Ok(Ok(answer)) if ["y", "Y", "yes"].contains(&answer.trim()) => Ok(()),
        _ => Err(Error::Invalid(
            "not confirmed: nothing was changed".to_owned(),
        )),
    }
}

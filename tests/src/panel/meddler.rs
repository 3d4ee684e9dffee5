//! A hand that a test puts between a panel and its client.

use super::answer::Answer;

/// A call, as it passes.
#[derive(Clone, Copy, Debug)]
pub struct Passing<'a> {
    /// Upper case.
    pub method: &'a str,
    /// As in the ledger.
    pub path: &'a str,
    /// Whether such a call changes nothing by its nature.
    pub is_read: bool,
}

/// Answers in the panel's place, or writes its answers anew.
pub trait Meddler: Send {
    /// What is answered in the place of doing what the call asks for, which is then not done.
    fn instead(&mut self, passing: &Passing<'_>) -> Option<Answer> {
        let _ = passing;
        None
    }

    /// What is sent for the true answer to a call that was carried out.
    fn edited(&mut self, passing: &Passing<'_>, answer: Answer) -> Answer {
        let _ = passing;
        answer
    }
}

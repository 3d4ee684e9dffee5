//! A second client of the panel, who acts between two calls of the first one.

/// What somebody else does right after a call. Counting begins when it is planned.
#[derive(Clone, Debug)]
pub struct Theft {
    /// The call's name, as the ledger has it without what follows a `?`.
    pub(super) after: String,
    /// Such calls to let pass before.
    pub(super) skip: u32,
    /// `None`: the machine that the call named, or the first free one.
    pub(super) server: Option<u64>,
    pub(super) owner: String,
    /// What the notes say afterwards; `None` leaves them.
    pub(super) notes: Option<String>,
}

impl Theft {
    /// The account `rival` takes the machine right after the `nth` call of this name, counted from 1. It is the machine
    /// that the call named; after a list, the first free one.
    pub fn after(call: &str, nth: u32) -> Self {
        let owner = "rival".to_owned();
        Self { after: call.to_owned(), skip: nth.saturating_sub(1), server: None, owner, notes: None }
    }

    /// Another machine.
    #[must_use]
    pub fn of(mut self, server: u64) -> Self {
        self.server = Some(server);
        self
    }

    /// Another account, which must exist.
    #[must_use]
    pub fn by(mut self, owner: &str) -> Self {
        self.owner = owner.to_owned();
        self
    }

    /// Whoever takes it writes this over the notes.
    #[must_use]
    pub fn noting(mut self, notes: &str) -> Self {
        self.notes = Some(notes.to_owned());
        self
    }
}

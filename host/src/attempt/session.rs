use super::env::Env;
use super::exchange::RawExchange;
use super::lull::Lull;
use super::room::Placing;
use crate::journal::{self, Entry, Kind, Sent};
use crate::mask::SecretSet;
use crate::operation::{Effects, State};
use crate::panel::Panel;
use crate::store::{Evidence, Note, Operation, Parked, Service, ServiceKey, Traveller, Written};
use crate::verdict::End;
use billhook_abi::Message;
use billhook_plugin_api::protocol::{Claimed, HookCall, Now, Outcome, Progress, SecretValue, StepOpen, op};
use billhook_plugin_api::{Fault, Hook};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What an attempt is about.
#[derive(Debug, Clone)]
pub enum Subject {
    /// A claimed operation.
    Operation {
        /// As claimed.
        operation: Box<Operation>,
        /// Its service.
        service: Box<Service>,
        /// Its journal.
        journal: Vec<Entry>,
        /// Set for a create whose server was chosen out of a group, while that may still change.
        placing: Option<Box<Placing>>,
    },
    /// A hook that only reads.
    Reading {
        /// Its id in the log.
        id: String,
        /// Which hook.
        hook: Hook,
    },
}

impl Subject {
    /// Which hook it is.
    pub fn hook(&self) -> Hook {
        match self {
            Self::Operation { operation, .. } => operation.hook,
            Self::Reading { hook, .. } => *hook,
        }
    }
}

/// Why the plugin's call is over.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    /// It ended, or the host ended it, for this reason.
    End(End),
    /// Another claim has the operation: nothing of this attempt counts any more.
    Lost,
    /// The host is going down; the attempt ended at a step boundary.
    Stopped,
    /// The store failed: what is durable is unknown, and whoever takes it up again settles it.
    StoreFailed,
}

/// What became of an attempt.
#[derive(Debug)]
pub enum Conclusion {
    /// The operation stands here now, durably.
    Operation {
        /// The next state.
        state: State,
        /// The operation, if this was its end.
        last: Option<Arc<Operation>>,
        /// Something else of the service was unfinished when this was stored.
        others: bool,
        /// For `waiting`: milliseconds from now.
        after_ms: Option<u64>,
        /// When to read the service after something pending, Unix milliseconds.
        poll_at: Option<u64>,
        /// The service's settle time after a lost change.
        unsettled: bool,
        /// Scopes given back.
        released: Vec<String>,
        /// The scope that another step holds.
        blocked_on: Option<String>,
    },
    /// The reading hook's result.
    Reading {
        /// Its outcome or fault.
        result: Box<Result<Outcome, Fault>>,
        /// What it left for the log.
        evidence: Evidence,
    },
    /// Nothing was written: another claim, or the store, has the last word.
    Void,
}

/// One attempt, as the plugin's calls meet it.
pub struct Session {
    pub(super) call_id: u64,
    pub(super) env: Arc<Env>,
    pub(super) panel: Arc<Panel>,
    pub(super) subject: Subject,
    pub(super) deadline_unix_ms: u64,
    pub(super) started_at: u64,
    traveller: Option<Traveller>,
    /// While it waits for its panel.
    pub(super) lull: Lull,
    pub(super) inner: tokio::sync::Mutex<Inner>,
    notes: Mutex<Vec<(u64, &'static str, String)>>,
    ended: Mutex<Option<Ended>>,
    wake: Notify,
    closed: AtomicBool,
    /// The plugin is asked for something that only reads, within an operation.
    pub(super) only_reads: AtomicBool,
}

/// What changes in the course of an attempt.
pub(super) struct Inner {
    pub journal: Vec<Entry>,
    /// How many entries this run has asked for, in order.
    pub asked: usize,
    /// The step that is open.
    pub open: Option<(usize, StepOpen)>,
    /// The count of the open step's scope when it was reserved.
    pub reserved: Option<crate::store::ScopeCount>,
    /// The run of a step or of a convergent change.
    pub run: Option<Run>,
    pub next_ticket: u64,
    pub exchanges: Vec<RawExchange>,
    pub flushed: usize,
    pub secrets: SecretSet,
    /// A read was answered in this attempt.
    pub has_read: bool,
    /// This run has come to its `undo`.
    pub undo_reached: bool,
    /// Results of this attempt's convergent changes; journaled when a wait begins.
    pub converged: Vec<Value>,
    /// One of them was sent and answered.
    pub has_converged: bool,
    /// A convergent change left, and nothing proves what became of it.
    pub unsettled: bool,
    pub released: Vec<String>,
    pub blocked_on: Option<String>,
    /// A *done* on its way to the disk.
    pub writing: Option<JoinHandle<Result<Written, crate::store::StoreError>>>,
}

/// The right to one changing exchange.
pub(super) struct Run {
    pub ticket: u64,
    /// The step's place; none for a convergent change.
    pub at: Option<usize>,
    /// A look: it may not send.
    pub gated: bool,
    /// An earlier run is in doubt.
    pub was_in_doubt: bool,
    pub sent: Sent,
}

/// Why a plugin's question is not answered in the ordinary way.
pub(super) enum Stop {
    /// The plugin gets this fault.
    Fault(Fault),
    /// The attempt is over.
    End(Ended),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<End> for Stop {
    fn from(end: End) -> Self {
        Self::End(Ended::End(end))
    }
}

impl From<crate::store::StoreError> for Stop {
    fn from(error: crate::store::StoreError) -> Self {
        tracing::error!(error = %error, "the store failed within an attempt");
        Self::End(Ended::StoreFailed)
    }
}

impl Session {
    pub(super) fn open(
        env: &Arc<Env>,
        panel: &Arc<Panel>,
        subject: Subject,
        call: &HookCall,
        deadline: Duration,
        traveller: Option<Traveller>,
    ) -> Arc<Self> {
        let mut secrets = SecretSet::beside(&panel.secrets);
        if let Some(password) = &call.password {
            secrets.insert(password.expose());
        }
        if let Some(service) = &call.service {
            for value in service.secrets.values() {
                secrets.insert(value.expose());
            }
        }
        let journal = match &subject {
            Subject::Operation { journal, .. } => journal.clone(),
            Subject::Reading { .. } => Vec::new(),
        };
        for entry in journal.iter().filter(|entry| entry.sealed) {
            insert_all(&mut secrets, &entry.result);
        }
        Arc::new(Self {
            call_id: env.next_call(),
            env: Arc::clone(env),
            panel: Arc::clone(panel),
            subject,
            deadline_unix_ms: super::deadline_unix(env, deadline),
            started_at: env.clock.unix_ms(),
            traveller,
            lull: Lull::default(),
            inner: tokio::sync::Mutex::new(Inner {
                journal,
                asked: 0,
                open: None,
                reserved: None,
                run: None,
                next_ticket: 0,
                exchanges: Vec::new(),
                flushed: 0,
                secrets,
                has_read: false,
                undo_reached: false,
                converged: Vec::new(),
                has_converged: false,
                unsettled: false,
                released: Vec::new(),
                blocked_on: None,
                writing: None,
            }),
            notes: Mutex::new(Vec::new()),
            ended: Mutex::new(None),
            wake: Notify::new(),
            closed: AtomicBool::new(false),
            only_reads: AtomicBool::new(false),
        })
    }

    /// Answers one question of the plugin. `None`: the attempt is over, and the plugin's call is left hanging.
    pub(super) async fn answer(self: &Arc<Self>, name: &str, message: Message) -> Result<Option<Message>, Fault> {
        if self.closed.load(Ordering::Acquire) {
            return Ok(None);
        }
        if self.only_reads.load(Ordering::Acquire) && !matches!(name, op::HTTP | op::CLAIMED | op::SECRET | op::NOW) {
            return Err(Fault::plugin_bug(format!("capacity only reads and has no {name}")));
        }
        let head = &message.head[..];
        let answered = match name {
            op::HTTP => {
                self.exchange(read(head)?, message.body.into_vec()).await.and_then(|(reply, body)| say(&reply, body))
            }
            op::STEP_OPEN => self.step_open(read(head)?).await.and_then(|turn| say(&turn, Vec::new())),
            op::STEP_GIVEN => self.step_given(read(head)?).await.and_then(|turn| say(&turn, Vec::new())),
            op::STEP_FOUND => self.step_found(read(head)?).await.and_then(|turn| say(&turn, Vec::new())),
            op::STEP_RAN => self.step_ran(read(head)?).await.and_then(|turn| say(&turn, Vec::new())),
            op::CONVERGE_OPEN => self.converge_open().await.and_then(|turn| say(&turn, Vec::new())),
            op::CONVERGE_RAN => self.converge_ran(read(head)?).await.and_then(|turn| say(&turn, Vec::new())),
            op::WAIT_OPEN => self.wait_open(read(head)?).await.and_then(|turn| say(&turn, Vec::new())),
            op::WAIT_LOOKED => self.wait_looked(read(head)?).await.and_then(|turn| say(&turn, Vec::new())),
            op::UNDO => self.undo(read(head)?).await.and_then(|()| say(&(), Vec::new())),
            op::CLAIMED => self.claimed(read(head)?).await.and_then(|ids| say(&ids, Vec::new())),
            op::SECRET => {
                let secret: SecretValue = read(head)?;
                self.inner.lock().await.secrets.insert(secret.value.expose());
                say(&(), Vec::new())
            }
            op::NOW => {
                let now = Now { unix_ms: self.env.clock.unix_ms(), deadline_unix_ms: self.deadline_unix_ms };
                say(&now, Vec::new())
            }
            other => Err(Stop::Fault(Fault::plugin_bug(format!("this host has no operation {other}")))),
        };
        match answered {
            Ok(message) => Ok(Some(message)),
            Err(Stop::Fault(fault)) => Err(fault),
            Err(Stop::End(ended)) => {
                self.end(ended);
                Ok(None)
            }
        }
    }

    /// Takes a line that the plugin emitted.
    pub(super) fn hear(&self, name: &str, head: &str) {
        // An attempt that talks without end is cut short rather than allowed to fill the memory.
        const MOST_NOTES: usize = 1_000;
        let at = self.env.clock.unix_ms();
        let (kind, text) = match name {
            op::PROGRESS => match serde_json::from_str::<Progress>(head) {
                Ok(progress) => ("progress", format!("{} % {}", progress.percent.min(100), progress.text)),
                Err(_) => return,
            },
            op::NOTE => match serde_json::from_str::<billhook_plugin_api::protocol::Note>(head) {
                Ok(note) => ("note", note.text),
                Err(_) => return,
            },
            op::PANIC => match serde_json::from_str::<billhook_plugin_api::protocol::Note>(head) {
                Ok(note) => ("panic", note.text),
                Err(_) => return,
            },
            _ => return,
        };
        let mut notes = lock(&self.notes);
        if notes.len() < MOST_NOTES {
            notes.push((at, kind, text));
        }
    }

    /// Adds a line of the host's own.
    pub(super) fn say(&self, text: String) {
        lock(&self.notes).push((self.env.clock.unix_ms(), "note", text));
    }

    pub(super) fn end(&self, ended: Ended) {
        lock(&self.ended).get_or_insert(ended);
        self.wake.notify_one();
    }

    /// Resolves when the host has ended the attempt.
    pub(super) async fn ended(&self) -> Ended {
        loop {
            if let Some(ended) = lock(&self.ended).clone() {
                return ended;
            }
            self.wake.notified().await;
        }
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// The operation, for what only operations may do.
    pub(super) fn operation(&self, what: &str) -> Result<(&Operation, &Service), Stop> {
        match &self.subject {
            Subject::Operation { operation, service, .. } => Ok((operation, service)),
            Subject::Reading { hook, .. } => {
                Err(Stop::Fault(Fault::plugin_bug(format!("{hook} only reads and has no {what}"))))
            }
        }
    }

    /// The operation ends what had ended before it came to run: its service is in a later life, and it has begun nothing.
    pub(super) fn is_overtaken(&self) -> bool {
        matches!(&self.subject, Subject::Operation { operation, service, journal, .. }
            if operation.hook == Hook::Terminate && operation.epoch < service.epoch && journal.is_empty())
    }

    pub(super) fn owner(&self) -> (&str, u64) {
        match &self.subject {
            Subject::Operation { operation, .. } => (&operation.id.0, operation.run),
            Subject::Reading { id, .. } => (id, 0),
        }
    }

    /// Masked notes heard so far; takes them.
    pub(super) fn take_notes(&self, secrets: &SecretSet) -> Vec<Note> {
        let (owner, run) = self.owner();
        let masker = self.env.masker(secrets);
        std::mem::take(&mut *lock(&self.notes))
            .into_iter()
            .map(|(at, kind, text)| Note {
                owner: owner.to_owned(),
                run,
                at,
                kind: kind.to_owned(),
                text: masker.text(&text),
            })
            .collect()
    }

    async fn claimed(&self, asked: Claimed) -> Result<Claimed, Stop> {
        let ids = self.env.store.claimed(&self.panel.identity, &asked.ids).await?;
        Ok(Claimed { ids })
    }

    /// While the guard lives, the attempt waits for a panel or for the disk.
    pub(super) fn parked(&self) -> Option<Parked<'_>> {
        self.traveller.as_ref().map(Traveller::park)
    }

    /// Waits for a *done* that is still on its way.
    pub(super) async fn written(&self, inner: &mut Inner) -> Result<(), Stop> {
        let Some(writing) = &mut inner.writing else { return Ok(()) };
        let parked = self.parked();
        // Taken only then: an attempt that is cut off here waits for it in its conclusion.
        let written = writing.await;
        inner.writing = None;
        drop(parked);
        match written {
            Ok(written) => accept_written(written?),
            Err(_) => Err(Stop::End(Ended::StoreFailed)),
        }
    }
}

/// What a written step means for the attempt.
fn accept_written(written: Written) -> Result<(), Stop> {
    match written {
        Written::Yes => Ok(()),
        Written::LeaseLost => Err(Stop::End(Ended::Lost)),
        Written::RemoteIdTaken(ServiceKey { platform, service_id }) => Err(Stop::from(End::Attention(format!(
            "the panel's id that this step gave belongs to the service {platform}/{service_id} already"
        )))),
    }
}

impl Inner {
    /// The fault that the hook will end with, while this run has not come to its `undo`.
    pub fn undoing(&self) -> Option<Fault> {
        if self.undo_reached {
            return None;
        }
        undo_fault(&self.journal)
    }

    pub fn effects(&self) -> Effects {
        journal::effects(&self.journal)
    }

    /// Issues the right to one changing exchange.
    pub fn issue(&mut self, at: Option<usize>, gated: bool, was_in_doubt: bool) -> u64 {
        self.next_ticket += 1;
        self.run = Some(Run { ticket: self.next_ticket, at, gated, was_in_doubt, sent: Sent::Nothing });
        self.next_ticket
    }
}

/// The fault with which an undoing hook will end.
pub(super) fn undo_fault(journal: &[Entry]) -> Option<Fault> {
    let entry = journal.iter().find(|entry| entry.kind == Kind::Undo)?;
    serde_json::from_value(entry.given.clone()).ok()
}

/// Every string within a sealed value is secret.
pub(super) fn insert_all(secrets: &mut SecretSet, value: &Value) {
    match value {
        Value::String(text) => secrets.insert(text),
        Value::Array(items) => items.iter().for_each(|item| insert_all(secrets, item)),
        Value::Object(members) => members.values().for_each(|member| insert_all(secrets, member)),
        _ => {}
    }
}

fn read<T: DeserializeOwned>(head: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(head).map_err(|error| {
        Fault::plugin_bug(format!(
            "a head of the plugin is not understood, line {} column {}",
            error.line(),
            error.column()
        ))
    })
}

fn say(value: &impl Serialize, body: Vec<u8>) -> Result<Message, Stop> {
    let head = serde_json::to_vec(value)
        .map_err(|error| Stop::Fault(Fault::plugin_bug(format!("an answer cannot be written: {error}"))))?;
    Ok(Message { head: head.into(), body: body.into() })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! The panel as the hooks ask it: signed in, read, changed.

use crate::answer::{self, NO_ACCESS, SESSION_OVER};
use crate::form::{Form, Id, machine_id};
use crate::machine::{self, Row, View};
use crate::random;
use crate::settings::{Product, Server, UsageKind};
use crate::standing::{Known, Standing};
use crate::user::{self, User};
use crate::xml::Node;
use billhook_plugin_api::{Cx, Fault, FaultClass, Reply, Secret, SendHandle, Service, StepName, Time, every, within};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

/// Something under way that hides what it is. What many hooks await is compiled once this way, and not into each of
/// them.
pub type Doing<'a, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'a>>;

/// One panel, and our session there.
pub struct Panel {
    pub login: String,
    password: Secret<String>,
    pub url: Option<String>,
    pub account_prefix: Option<String>,
    pub install_limit_s: u32,
    pub power_limit_s: u32,
    pub usage: UsageKind,
    /// One for all hooks: it lives for an hour from its last use, and is bound to our address.
    session: Mutex<Option<Secret<String>>>,
}

/// What a look at the panel says is to be sent; nothing, if it is so already.
pub type Look<'a> = &'a (dyn Fn() -> Doing<'a, Option<Form>> + Send + Sync);

/// Whether what is waited for is there.
pub type Sight<'a> = &'a (dyn Fn() -> Doing<'a, bool> + Send + Sync);

/// The code of a fault that says that a wait of ours ran out.
pub const OVERDUE: &str = "overdue";

impl Panel {
    pub fn new(server: Server) -> Self {
        let Server { login, password, panel_url, account_prefix, install_limit_s, power_limit_s, usage } = server;
        let url = panel_url.map(|url| url.trim_end_matches('/').to_owned());
        Self { login, password, url, account_prefix, install_limit_s, power_limit_s, usage, session: Mutex::new(None) }
    }

    /// Signs in, whether or not there is a session.
    pub fn sign_in<'f>(&'f self, cx: &'f Cx) -> Doing<'f, Secret<String>> {
        Box::pin(async move {
            let form = Form::view("auth").with("username", &self.login).with("password", self.password.expose());
            let session = session_of(cx, form).await?;
            *self.held() = Some(session.clone());
            Ok(session)
        })
    }

    /// Reads a list or a form. A session that is over is renewed once; a read may be repeated.
    pub fn read<'f>(&'f self, cx: &'f Cx, form: Form) -> Doing<'f, Node> {
        Box::pin(async move {
            let held = self.held().clone();
            let is_fresh = held.is_none();
            let session = match held {
                Some(session) => session,
                None => self.sign_in(cx).await?,
            };
            match read_once(cx, &form, &session).await {
                Err(fault) if !is_fresh && is_over(&fault) => {
                    let session = self.sign_in(cx).await?;
                    read_once(cx, &form, &session).await
                }
                read => read,
            }
        })
    }

    /// Sends the one change of a step. It is not repeated after a new sign-in: the step is.
    pub fn change<'f>(&'f self, cx: &'f Cx, send: &'f SendHandle, form: Form) -> Doing<'f, Node> {
        Box::pin(async move {
            let held = self.held().clone();
            let session = match held {
                Some(session) => session,
                None => self.sign_in(cx).await?,
            };
            let reply = send.call(form.request(Some(&session))).await?;
            self.changed(&reply)
        })
    }

    /// As [`Panel::change`], in the name of a session of the customer's, so that the panel refuses what is not his.
    pub fn change_as<'f>(&'f self, cx: &'f Cx, send: &'f SendHandle, account: &'f str, form: Form) -> Doing<'f, Node> {
        Box::pin(async move {
            let session = self.session_as(cx, account).await?;
            let reply = send.call(form.request(Some(&session))).await?;
            let doc = answer::accepted(&reply);
            doc.map_err(|fault| match fault.code.as_deref() {
                Some(NO_ACCESS) => Fault::new(
                    FaultClass::Permission,
                    format!("the panel does not let the account {account} do this to the server: is it blocked, or another's?"),
                )
                .with_code(NO_ACCESS)
                .refused(),
                _ => fault,
            })
        })
    }

    fn changed(&self, reply: &Reply) -> Result<Node, Fault> {
        let doc = answer::accepted(reply);
        match doc {
            Err(fault) if fault.code.as_deref() == Some(SESSION_OVER) => {
                *self.held() = None;
                // Refused before it was looked at; the next run signs in first.
                Err(fault.in_class(FaultClass::ConflictBusy))
            }
            doc => doc,
        }
    }

    /// A key that signs an account in once.
    pub fn new_key<'f>(&'f self, cx: &'f Cx, account: &'f str) -> Doing<'f, Secret<String>> {
        Box::pin(async move {
            if account.is_empty() {
                return Err(Fault::invalid_input("there is no account to sign in"));
            }
            let key = random::key()?;
            cx.secret(&key).await?;
            let form = Form::view("session.newkey").with("username", account).with("key", &key);
            let held = self.held().clone();
            let is_fresh = held.is_none();
            let session = match held {
                Some(session) => session,
                None => self.sign_in(cx).await?,
            };
            let asked = answer::accepted(&cx.sign_in(form.request(Some(&session))).await.map_err(cut_off)?);
            match asked {
                Err(fault) if !is_fresh && is_over(&fault) => {
                    let session = self.sign_in(cx).await?;
                    answer::accepted(&cx.sign_in(form.request(Some(&session))).await?)?;
                }
                asked => {
                    asked?;
                }
            }
            Ok(Secret::new(key))
        })
    }

    /// A session of the customer's.
    pub fn session_as<'f>(&'f self, cx: &'f Cx, account: &'f str) -> Doing<'f, Secret<String>> {
        Box::pin(async move {
            let key = self.new_key(cx, account).await?;
            session_of(cx, Form::view("auth").with("username", account).with("key", key.expose())).await
        })
    }

    /// The step of a change that sets a state: it looks, and sends what is needed for it. In doubt it looks again, and
    /// what is sent a second time sets the same. Whether anything was sent.
    pub fn ensure<'f>(&'f self, cx: &'f Cx, name: impl Into<StepName>, look: Look<'f>) -> Doing<'f, bool> {
        let step = cx.step(name);
        Box::pin(step.ensure(move |send| async move {
            let Some(form) = look().await? else { return Ok(false) };
            self.change(cx, &send, form).await?;
            Ok(true)
        }))
    }

    /// Waits until `sight` says true, at most so long; the fault says what had not come.
    pub fn wait<'f>(
        &'f self,
        cx: &'f Cx,
        name: &'f str,
        every_s: u64,
        limit_s: u32,
        what: &'f str,
        sight: Sight<'f>,
    ) -> Doing<'f, ()> {
        Box::pin(async move {
            // The end of the host's own wait is a person's to look at; one that is ours can be undone.
            let from = cx.step(("from", name)).record(|| cx.now()).await?;
            let until = from.saturating_add(u64::from(limit_s) * 1_000);
            let longest = within(u64::from(limit_s).secs() + 10.mins());
            cx.wait_until(name, every(every_s.secs()), longest, || async move {
                if sight().await? {
                    return Ok(true);
                }
                if cx.now().await? >= until {
                    return Err(Fault::panel_bug(format!("{what} within {limit_s} s")).with_code(OVERDUE));
                }
                Ok(false)
            })
            .await
        })
    }

    /// All machines.
    pub fn rows<'f>(&'f self, cx: &'f Cx) -> Doing<'f, Vec<Row>> {
        Box::pin(async move { machine::rows(&self.read(cx, machine::list()).await?) })
    }

    /// All accounts.
    pub fn users<'f>(&'f self, cx: &'f Cx) -> Doing<'f, Vec<User>> {
        Box::pin(async move { user::rows(&self.read(cx, user::list()).await?) })
    }

    /// A machine's row, which must be there.
    pub fn row<'f>(&'f self, cx: &'f Cx, id: &'f Id) -> Doing<'f, Row> {
        Box::pin(async move {
            let rows = self.rows(cx).await?;
            // "Not blocked" must never be said of a machine that is not there.
            rows.into_iter()
                .find(|row| row.id == id.as_str())
                .ok_or_else(|| Fault::not_found(format!("server {id} is not in the panel's list any more")))
        })
    }

    /// A machine's form; `None` when the panel says that it has none.
    pub fn find_view<'f>(&'f self, cx: &'f Cx, id: &'f Id) -> Doing<'f, Option<View>> {
        Box::pin(async move {
            match self.read(cx, View::request(id)).await {
                Ok(doc) => View::read(&doc, id).map(Some),
                Err(fault) if fault.class == FaultClass::NotFound => Ok(None),
                Err(fault) => Err(fault),
            }
        })
    }

    /// Row and form of a machine; `None` when both say that there is none.
    pub fn machine<'f>(&'f self, cx: &'f Cx, id: &'f Id) -> Doing<'f, Option<(Row, View)>> {
        Box::pin(async move {
            let row = self.rows(cx).await?.into_iter().find(|row| row.id == id.as_str());
            match (row, self.find_view(cx, id).await?) {
                (Some(row), Some(view)) => Ok(Some((row, view))),
                (None, None) => Ok(None),
                (Some(_), None) => {
                    Err(Fault::new(FaultClass::ConflictBusy, format!("server {id} is listed and has no form")))
                }
                (None, Some(_)) => Err(Fault::panel_bug(format!(
                    "server {id} has a form and is not in the list: the list shown to the account is cut, or its ids (doc.elem.id) are others"
                ))),
            }
        })
    }

    /// The machine, while it is the administrator's and marked for this service; `None` when it is not, or not any more.
    pub fn held_for<'f>(&'f self, cx: &'f Cx, id: &'f Id, known: &'f Known) -> Doing<'f, Option<(Row, View)>> {
        Box::pin(async move {
            let Some((row, view)) = self.machine(cx, id).await? else { return Ok(None) };
            let standing = known.judge(Some((&row, &view)));
            Ok(matches!(standing, Standing::Making | Standing::Releasing).then_some((row, view)))
        })
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<Secret<String>>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer that was cut off tells nothing of the panel: the look is simply repeated.
async fn read_once(cx: &Cx, form: &Form, session: &Secret<String>) -> Result<Node, Fault> {
    answer::read(&cx.http(form.request(Some(session)).reading()).await.map_err(cut_off)?)
}

fn cut_off(fault: Fault) -> Fault {
    if fault.class == FaultClass::PanelBug { fault.in_class(FaultClass::InDoubt) } else { fault }
}

/// Asks for a session.
async fn session_of(cx: &Cx, form: Form) -> Result<Secret<String>, Fault> {
    let doc = answer::read(&cx.sign_in(form.request(None)).await.map_err(cut_off)?)?;
    let auth = doc.child("auth").ok_or_else(|| answer::misfit("doc.auth"))?;
    // Some versions write the id as an attribute, some as text, some as both.
    let session = auth.attribute("id").filter(|id| !id.is_empty()).unwrap_or(auth.own_text());
    if session.is_empty() {
        return Err(answer::misfit("doc.auth.id"));
    }
    cx.secret(session).await?;
    Ok(Secret::new(session.to_owned()))
}

/// Whether a new session may help: the panel says either for one that has ended.
fn is_over(fault: &Fault) -> bool {
    matches!(fault.code.as_deref(), Some(SESSION_OVER | NO_ACCESS))
}

/// A service whose machine a hook is about.
#[derive(Clone, Copy)]
pub struct Owned<'a> {
    pub panel: &'a Panel,
    pub service: &'a Service,
    pub product: &'a Product,
}

/// The machine of a service, read now.
pub struct Found {
    pub id: Id,
    pub known: Known,
    pub machine: Option<(Row, View)>,
}

impl Found {
    pub fn standing(&self) -> Standing {
        self.known.judge(self.machine.as_ref().map(|(row, view)| (row, view)))
    }
}

impl<'a> Owned<'a> {
    pub fn id(self) -> Result<Id, Fault> {
        machine_id(self.service.remote_id.as_deref())
    }

    /// What is known of the service, with the accounts that the panel has.
    pub fn known<'f>(self, cx: &'f Cx) -> Doing<'f, Known>
    where
        'a: 'f,
    {
        Box::pin(async move {
            let users = self.panel.users(cx).await?;
            let mut known = Known::of(self.service);
            known.admin = user::find(&users, &self.panel.login).map(User::account);
            if known.account.is_none() {
                let name = self.product.account.as_deref().or(self.service.username.as_deref());
                known.account = name.and_then(|name| user::find(&users, name)).map(User::account);
            }
            Ok(known)
        })
    }

    /// Whatever the panel has under the service's id.
    pub fn find<'f>(self, cx: &'f Cx) -> Doing<'f, Found>
    where
        'a: 'f,
    {
        Box::pin(async move {
            let id = self.id()?;
            let known = self.known(cx).await?;
            let machine = self.panel.machine(cx, &id).await?;
            Ok(Found { id, known, machine })
        })
    }

    /// The machine, which must be the customer's.
    pub fn read<'f>(self, cx: &'f Cx) -> Doing<'f, (Row, View, Known)>
    where
        'a: 'f,
    {
        Box::pin(async move {
            let found = self.find(cx).await?;
            found.standing().owned(&found.id)?;
            let (row, view) = found.machine.ok_or_else(|| Fault::plugin_bug("a machine that is ours is not there"))?;
            Ok((row, view, found.known))
        })
    }

    /// The account that acts on the machine.
    pub fn account(known: &Known) -> Result<&str, Fault> {
        known.account.as_ref().map(|account| account.name.as_str()).ok_or_else(|| {
            Fault::invalid_input("the service's account on the panel is not known: set the service's username to it")
        })
    }
}

//! Which request is which event: whether a hook is a new operation, an older one again, or refused.

use crate::operation::{Effects, State};
use billhook_plugin_api::Hook;

/// An arriving hook.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arriving<'a> {
    /// The platform's name for the event.
    pub key: Option<&'a str>,
    /// What is asked.
    pub hook: Hook,
    /// Hash of what makes it this event: hook, service, product, target, money; not contact data, not waits.
    pub fingerprint: &'a str,
    /// The product.
    pub product: &'a str,
    /// For `renew`: the new paid-until date.
    pub renew_to: Option<&'a str>,
}

/// An operation of the service, as admission needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct Earlier {
    /// Operation id.
    pub id: String,
    /// Order of arrival.
    pub seq: u64,
    /// In which life of the service.
    pub epoch: u32,
    /// What it does.
    pub hook: Hook,
    /// Where it stands.
    pub state: State,
    /// What it has done.
    pub effects: Effects,
    /// As of [`Arriving::fingerprint`].
    pub fingerprint: String,
    /// The product.
    pub product: String,
    /// For `renew`.
    pub renew_to: Option<String>,
}

/// Where a service stands, as admission needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// The host has never heard of it.
    Unknown,
    /// Nothing is known to exist on the panel, in this epoch.
    Empty,
    /// The panel has it.
    Live,
    /// The panel will end it, or cannot delete it.
    Ending,
}

/// What is known when a hook arrives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Known<'a> {
    /// The operation that has this key already.
    pub by_key: Option<&'a Earlier>,
    /// The service's life.
    pub life: Life,
    /// Its epoch.
    pub epoch: u32,
    /// Its operations, newest last; all unfinished ones, and of the finished ones those that are [`Needed`].
    pub earlier: &'a [Earlier],
}

/// What of a service's past decides about an arriving hook, beside the service itself, what is unfinished of it, and the operation that
/// has its key. Most hooks have a key and need none of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needed {
    /// The creates and renewals of this epoch. Where nothing is known on the panel they are always needed.
    pub lives: bool,
    /// The newest operation.
    pub newest: bool,
    /// The newest terminate that succeeded.
    pub ended: bool,
}

impl Needed {
    /// What [`admit`] needs for such a hook.
    pub const fn of(hook: Hook, has_key: bool) -> Self {
        let lives = matches!(hook, Hook::Create | Hook::Renew);
        let ended = matches!(hook, Hook::Terminate);
        Self { lives, newest: !lives && (ended || !has_key), ended }
    }
}

/// What an arriving hook is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Something new.
    New,
    /// This operation answers.
    Join(String),
    /// This failed operation is tried again, with the new content for what has not begun.
    Repeat(String),
    /// It cannot be.
    Refuse(Refusal),
}

/// Why a hook is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The key names another event.
    #[error("the idempotency key already names {operation}, whose content is another")]
    KeyReused {
        /// Which operation has it.
        operation: String,
    },
    /// The service exists with another product.
    #[error("the service already exists with the product {product}")]
    AlreadyExists {
        /// Which product.
        product: String,
    },
    /// The service is ending, or another create is under way.
    #[error("{why}")]
    ConflictBusy {
        /// What is in the way.
        why: String,
    },
    /// Nothing of that name.
    #[error("no such service is known: it was never created here")]
    UnknownService,
}

/// Decides.
pub fn admit(arriving: &Arriving<'_>, known: &Known<'_>) -> Admission {
    if let Some(named) = known.by_key {
        return same_key(arriving, named, known.epoch);
    }
    match arriving.hook {
        Hook::Create => create(arriving, known),
        Hook::Renew => renew(arriving, known),
        _ => other(arriving, known),
    }
}

fn same_key(arriving: &Arriving<'_>, named: &Earlier, epoch: u32) -> Admission {
    let same = arriving.fingerprint == named.fingerprint;
    let resumes = named.hook == Hook::Create && arriving.hook == Hook::Create && named.effects.touched;
    match (named.state, same) {
        // Undone, and its life is over: its journal cannot begin another.
        (State::Failed, _) if named.epoch < epoch => {
            Admission::Refuse(Refusal::KeyReused { operation: named.id.clone() })
        }
        (State::Failed, true) => Admission::Repeat(named.id.clone()),
        (State::Failed, false) if !named.effects.touched && named.hook == arriving.hook => {
            Admission::Repeat(named.id.clone())
        }
        (State::Failed, false) if resumes => Admission::Repeat(named.id.clone()),
        (_, true) => Admission::Join(named.id.clone()),
        (_, false) => Admission::Refuse(Refusal::KeyReused { operation: named.id.clone() }),
    }
}

fn create(arriving: &Arriving<'_>, known: &Known<'_>) -> Admission {
    let own =
        || known.earlier.iter().rev().filter(|earlier| earlier.hook == Hook::Create && earlier.epoch == known.epoch);
    if let Some(under_way) = own().find(|earlier| !earlier.state.is_final()) {
        return if under_way.effects.touched || under_way.product == arriving.product {
            Admission::Join(under_way.id.clone())
        } else {
            let why = format!("a create with the product {} is under way ({})", under_way.product, under_way.id);
            Admission::Refuse(Refusal::ConflictBusy { why })
        };
    }
    if known.life == Life::Ending {
        let why = "the service is ending; it can be created again once the panel was read as gone".to_owned();
        return Admission::Refuse(Refusal::ConflictBusy { why });
    }
    // What the create before it made must not be promised any more.
    let ends = |earlier: &&Earlier| {
        earlier.epoch == known.epoch && earlier.hook == Hook::Terminate && !earlier.state.is_final()
    };
    if let Some(terminate) = known.earlier.iter().find(ends) {
        let why = format!("the service is being terminated ({}); it can be created again after that", terminate.id);
        return Admission::Refuse(Refusal::ConflictBusy { why });
    }
    if let Some(failed) = own().find(|earlier| earlier.state == State::Failed && earlier.effects.touched) {
        return Admission::Repeat(failed.id.clone());
    }
    if known.life == Life::Live {
        return match own().find(|earlier| earlier.state == State::Succeeded) {
            Some(made) if made.product == arriving.product => Admission::Join(made.id.clone()),
            Some(made) => Admission::Refuse(Refusal::AlreadyExists { product: made.product.clone() }),
            None => Admission::Refuse(Refusal::ConflictBusy {
                why: "the service has something on the panel already".to_owned(),
            }),
        };
    }
    if arriving.key.is_none()
        && let Some(failed) = own().next().filter(|earlier| earlier.state == State::Failed)
    {
        return Admission::Repeat(failed.id.clone());
    }
    Admission::New
}

fn renew(arriving: &Arriving<'_>, known: &Known<'_>) -> Admission {
    if let Some(refusal) = absent(known) {
        return Admission::Refuse(refusal);
    }
    let own =
        || known.earlier.iter().rev().filter(|earlier| earlier.hook == Hook::Renew && earlier.epoch == known.epoch);
    // Dates compare as text: `YYYY-MM-DD`.
    let reaches = |earlier: &&Earlier| match earlier.state {
        State::Succeeded => earlier.renew_to.as_deref() >= arriving.renew_to,
        State::Failed | State::Cancelled => false,
        _ => earlier.renew_to.as_deref() == arriving.renew_to,
    };
    if let Some(reached) = own().find(reaches) {
        return Admission::Join(reached.id.clone());
    }
    let failed =
        own().find(|earlier| earlier.state == State::Failed && earlier.renew_to.as_deref() == arriving.renew_to);
    match failed {
        Some(failed) if arriving.key.is_none() || failed.effects.touched => Admission::Repeat(failed.id.clone()),
        _ => Admission::New,
    }
}

fn other(arriving: &Arriving<'_>, known: &Known<'_>) -> Admission {
    let newest = known.earlier.last();
    if arriving.key.is_none()
        && let Some(newest) = newest
        && !newest.state.is_final()
        && newest.hook == arriving.hook
        && newest.fingerprint == arriving.fingerprint
    {
        return Admission::Join(newest.id.clone());
    }
    if known.life == Life::Empty
        && arriving.hook == Hook::Terminate
        && let Some(ended) =
            known.earlier.iter().rev().find(|e| e.hook == Hook::Terminate && e.state == State::Succeeded)
        && known.earlier.iter().all(|earlier| earlier.epoch < known.epoch)
    {
        // Terminating what is gone succeeds, with the answer of the terminate that ended it.
        return Admission::Join(ended.id.clone());
    }
    match absent(known) {
        Some(refusal) => Admission::Refuse(refusal),
        None => Admission::New,
    }
}

/// A change needs something to change, or a create of this epoch that may still make it.
fn absent(known: &Known<'_>) -> Option<Refusal> {
    let coming = known.earlier.iter().any(|earlier| {
        earlier.epoch == known.epoch
            && earlier.hook == Hook::Create
            && (!earlier.state.is_final() || earlier.effects.touched)
    });
    match known.life {
        Life::Live | Life::Ending => None,
        Life::Unknown | Life::Empty if coming => None,
        Life::Unknown | Life::Empty => Some(Refusal::UnknownService),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Effects = Effects { touched: false, doubted: false };
    const DONE: Effects = Effects { touched: true, doubted: false };

    fn earlier(hook: Hook, state: State, effects: Effects) -> Earlier {
        Earlier {
            id: "op_1".into(),
            seq: 1,
            epoch: 1,
            hook,
            state,
            effects,
            fingerprint: "f".into(),
            product: "small".into(),
            renew_to: (hook == Hook::Renew).then(|| "2027-01-01".to_owned()),
        }
    }

    fn arriving(hook: Hook, key: Option<&'static str>) -> Arriving<'static> {
        Arriving {
            key,
            hook,
            fingerprint: "f",
            product: "small",
            renew_to: (hook == Hook::Renew).then_some("2027-01-01"),
        }
    }

    fn join() -> Admission {
        Admission::Join("op_1".into())
    }

    fn repeat() -> Admission {
        Admission::Repeat("op_1".into())
    }

    #[test]
    fn a_key_names_one_event() {
        for (state, effects, same, expected) in [
            (State::Succeeded, DONE, true, "join"),
            (State::Running, DONE, true, "join"),
            (State::Attention, DONE, true, "join"),
            (State::Succeeded, DONE, false, "refuse"),
            (State::Running, NOTHING, false, "refuse"),
            (State::Failed, NOTHING, true, "repeat"),
            (State::Failed, NOTHING, false, "repeat"),
            (State::Failed, DONE, false, "refuse"),
            (State::Cancelled, NOTHING, true, "join"),
        ] {
            let named = earlier(Hook::Suspend, state, effects);
            let fingerprint = if same { "f" } else { "g" };
            let arriving = Arriving { fingerprint, ..arriving(Hook::Suspend, Some("k")) };
            let known =
                Known { by_key: Some(&named), life: Life::Live, epoch: 1, earlier: std::slice::from_ref(&named) };
            let word = match admit(&arriving, &known) {
                Admission::New => "new",
                Admission::Join(_) => "join",
                Admission::Repeat(_) => "repeat",
                Admission::Refuse(_) => "refuse",
            };
            assert_eq!(word, expected, "{state} {effects:?} same content: {same}");
        }
    }

    #[test]
    fn a_create_is_one_per_service_and_epoch_whatever_its_key() {
        for key in [None, Some("another")] {
            for (state, effects, life, expected) in [
                (State::Queued, NOTHING, Life::Empty, join()),
                (State::Running, DONE, Life::Empty, join()),
                (State::Attention, DONE, Life::Empty, join()),
                (State::Succeeded, DONE, Life::Live, join()),
                (State::Failed, DONE, Life::Live, repeat()),
                (State::Cancelled, NOTHING, Life::Empty, Admission::New),
                (State::Failed, NOTHING, Life::Empty, if key.is_none() { repeat() } else { Admission::New }),
            ] {
                let first = [earlier(Hook::Create, state, effects)];
                let known = Known { by_key: None, life, epoch: 1, earlier: &first };
                assert_eq!(admit(&arriving(Hook::Create, key), &known), expected, "{key:?} {state} {effects:?}");
            }
        }
    }

    #[test]
    fn a_create_with_another_product_does_not_make_a_second_one() {
        let first = [earlier(Hook::Create, State::Succeeded, DONE)];
        let known = Known { by_key: None, life: Life::Live, epoch: 1, earlier: &first };
        let arriving = Arriving { product: "large", ..arriving(Hook::Create, None) };
        assert_eq!(admit(&arriving, &known), Admission::Refuse(Refusal::AlreadyExists { product: "small".into() }));
    }

    #[test]
    fn a_create_waits_until_the_ending_service_was_read_as_gone() {
        let first = [earlier(Hook::Create, State::Succeeded, DONE)];
        let ending = Known { by_key: None, life: Life::Ending, epoch: 1, earlier: &first };
        assert!(matches!(
            admit(&arriving(Hook::Create, None), &ending),
            Admission::Refuse(Refusal::ConflictBusy { .. })
        ));

        let gone = Known { by_key: None, life: Life::Empty, epoch: 2, earlier: &first };
        assert_eq!(admit(&arriving(Hook::Create, None), &gone), Admission::New);
    }

    #[test]
    fn renews_to_one_date_are_one() {
        for (state, to, expected) in [
            (State::Succeeded, "2027-01-01", join()),
            (State::Succeeded, "2026-12-01", join()),
            (State::Running, "2027-01-01", join()),
            (State::Running, "2027-02-01", Admission::New),
            (State::Succeeded, "2027-02-01", Admission::New),
            (State::Failed, "2027-01-01", repeat()),
            (State::Cancelled, "2027-01-01", Admission::New),
        ] {
            let first = [earlier(Hook::Renew, state, DONE)];
            let known = Known { by_key: None, life: Life::Live, epoch: 1, earlier: &first };
            let arriving = Arriving { renew_to: Some(to), ..arriving(Hook::Renew, None) };
            assert_eq!(admit(&arriving, &known), expected, "{state} {to}");
        }
    }

    #[test]
    fn other_hooks_join_only_the_newest_unfinished_one() {
        for (newest, expected) in [
            (earlier(Hook::Suspend, State::Running, DONE), join()),
            (earlier(Hook::Suspend, State::Succeeded, DONE), Admission::New),
            (earlier(Hook::Unsuspend, State::Running, DONE), Admission::New),
        ] {
            let all = [newest];
            let known = Known { by_key: None, life: Life::Live, epoch: 1, earlier: &all };
            assert_eq!(admit(&arriving(Hook::Suspend, None), &known), expected);
            assert_eq!(admit(&arriving(Hook::Suspend, Some("k")), &known), Admission::New);
        }
    }

    #[test]
    fn a_change_needs_something_to_change() {
        let nothing = Known { by_key: None, life: Life::Unknown, epoch: 1, earlier: &[] };
        for hook in [Hook::Suspend, Hook::Unsuspend, Hook::Terminate, Hook::Renew] {
            assert_eq!(admit(&arriving(hook, None), &nothing), Admission::Refuse(Refusal::UnknownService));
        }
        let coming = [earlier(Hook::Create, State::Running, NOTHING)];
        let known = Known { by_key: None, life: Life::Empty, epoch: 1, earlier: &coming };
        assert_eq!(admit(&arriving(Hook::Terminate, None), &known), Admission::New);
    }

    #[test]
    fn a_create_is_not_answered_with_what_a_terminate_is_about_to_end() {
        let made = earlier(Hook::Create, State::Succeeded, DONE);
        for (state, is_refused) in [
            (State::Queued, true),
            (State::Running, true),
            (State::Waiting, true),
            (State::Attention, true),
            (State::Failed, false),
            (State::Cancelled, false),
        ] {
            let terminate = Earlier { id: "op_2".into(), ..earlier(Hook::Terminate, state, DONE) };
            let known = Known { by_key: None, life: Life::Live, epoch: 1, earlier: &[made.clone(), terminate] };
            let admission = admit(&arriving(Hook::Create, None), &known);
            match is_refused {
                true => assert!(matches!(admission, Admission::Refuse(Refusal::ConflictBusy { .. })), "{state:?}"),
                false => assert_eq!(admission, join(), "{state:?}"),
            }
        }
    }

    #[test]
    fn terminating_what_is_gone_answers_with_the_terminate_that_ended_it() {
        let ended = [earlier(Hook::Terminate, State::Succeeded, DONE)];
        let known = Known { by_key: None, life: Life::Empty, epoch: 2, earlier: &ended };
        assert_eq!(admit(&arriving(Hook::Terminate, None), &known), join());
    }

    /// Three operations of a service, of its current life or the one before, and whatever may arrive then.
    #[test]
    fn what_is_not_needed_decides_nothing() {
        const HOOKS: [Hook; 4] = [Hook::Create, Hook::Renew, Hook::Suspend, Hook::Terminate];
        let mut ops = Vec::new();
        for hook in HOOKS {
            for (state, effects) in [(State::Queued, NOTHING), (State::Succeeded, DONE), (State::Failed, DONE)] {
                ops.extend([1, 2].map(|epoch| Earlier { epoch, ..earlier(hook, state, effects) }));
            }
        }
        let mut cases = 0;
        let count = ops.len();
        for n in 0..count.pow(3) {
            let past = [n / count.pow(2), n / count % count, n % count].into_iter().zip(1..);
            let past = past.map(|(op, seq)| Earlier { id: format!("op_{seq}"), seq, ..ops[op].clone() });
            let past: Vec<Earlier> = past.collect();
            if past.is_sorted_by_key(|one| one.epoch) {
                for hook in HOOKS {
                    cases += 1;
                    for (life, key) in
                        [(Life::Empty, None), (Life::Live, None), (Life::Ending, None), (Life::Live, Some("k"))]
                    {
                        assert_needless(&arriving(hook, key), life, &past);
                    }
                    assert_needless(&arriving(hook, Some("k")), Life::Empty, &past);
                }
            }
        }
        assert!(cases > 20_000, "{cases}");
    }

    /// The decision does not change without what of the past is not needed.
    fn assert_needless(arriving: &Arriving<'_>, life: Life, past: &[Earlier]) {
        let needed = Needed::of(arriving.hook, arriving.key.is_some());
        let is_ended = |one: &Earlier| one.hook == Hook::Terminate && one.state == State::Succeeded;
        let ended = past.iter().rfind(|one| is_ended(one));
        let found = past.iter().filter(|one| {
            let is_life = one.epoch == 2 && matches!(one.hook, Hook::Create | Hook::Renew);
            !one.state.is_final()
                || is_life && (needed.lives || life == Life::Empty)
                || needed.newest && Some(*one) == past.last()
                || needed.ended && ended == Some(*one)
        });
        let found: Vec<Earlier> = found.cloned().collect();
        let admit = |earlier: &[Earlier]| admit(arriving, &Known { by_key: None, life, epoch: 2, earlier });
        assert_eq!(admit(&found), admit(past), "{arriving:?} {life:?} {past:?}");
    }
}

//! Breaks a hook at each of its exchanges in each way that its panel knows, and drives every case to its end.

use billhook::engine::Decision;
use billhook::operation::State;
use billhook::store::Service;
use billhook_plugin_api::Hook;
use billhook_tests::harness::{Host, Provider, Rig, Saved, StoreOn, body};
use billhook_tests::panel::{Call, Fault, Plan, World};
use futures_util::StreamExt as _;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The service that every hook is about.
pub const SERVICE: &str = "1007";

/// The platform's key of the hook that is broken.
const KEY: &str = "event-1";

/// Cases at once.
const AT_ONCE: usize = 4;

/// How often the platform repeats a hook that failed, as often as a person would press the button.
const REPEATS: usize = 3;

/// Cases of a scene that break a change, and such that break a look, when not all are asked for.
const MOST: [usize; 2] = [24, 12];

/// Set it to let every call of every hook meet every fault.
const ALL: &str = "BILLHOOK_CRASH_ALL";

type EffectOf<S> = <<<S as Scene>::Provider as Provider>::World as World>::Effect;

/// A hook in a situation.
pub trait Scene: Copy + Debug + Send + Sync + 'static {
    /// Whose hook it is.
    type Provider: Provider;

    /// Which hook is broken.
    fn hook(self) -> Hook;

    /// What the platform sends.
    fn body(self) -> Value {
        body(self.hook(), SERVICE)
    }

    /// What has happened to the service by then.
    fn before(self) -> &'static [Hook];

    /// The panel and the configuration.
    fn rig(self) -> Rig<Self::Provider>;

    /// What changes on the panel between what was before and the hook.
    fn prepare(self, rig: &Rig<Self::Provider>) {
        let _ = rig;
    }

    /// Whether this fault can strike this call of a healthy run at all.
    fn applies(self, call: &Call<EffectOf<Self>>, fault: Fault) -> bool {
        let _ = (call, fault);
        true
    }

    /// What a person does who finds the hook in doubt and looks at what happened on the panel. `None`: this panel can
    /// always be asked, and a hook that needs a person is a mistake.
    fn person(self, rig: &Rig<Self::Provider>) -> Option<Decision> {
        let _ = rig;
        None
    }

    /// What must be true of the panel at every moment.
    fn assert_at_most_one(self, rig: &Rig<Self::Provider>, what: &str);

    /// What must be true of panel and service once the hook has succeeded.
    fn assert_done(self, rig: &Rig<Self::Provider>, service: &Service, what: &str);
}

/// The same with a store on Postgres.
#[derive(Debug, Clone, Copy)]
pub struct OnPostgres<S>(pub S);

impl<S: Scene> Scene for OnPostgres<S> {
    type Provider = S::Provider;

    fn hook(self) -> Hook {
        self.0.hook()
    }

    fn body(self) -> Value {
        self.0.body()
    }

    fn before(self) -> &'static [Hook] {
        self.0.before()
    }

    fn rig(self) -> Rig<S::Provider> {
        StoreOn::Postgres.within(|| self.0.rig())
    }

    fn prepare(self, rig: &Rig<S::Provider>) {
        self.0.prepare(rig);
    }

    fn applies(self, call: &Call<EffectOf<Self>>, fault: Fault) -> bool {
        self.0.applies(call, fault)
    }

    fn person(self, rig: &Rig<S::Provider>) -> Option<Decision> {
        self.0.person(rig)
    }

    fn assert_at_most_one(self, rig: &Rig<S::Provider>, what: &str) {
        self.0.assert_at_most_one(rig, what);
    }

    fn assert_done(self, rig: &Rig<S::Provider>, service: &Service, what: &str) {
        self.0.assert_done(rig, service, what);
    }
}

/// A test for each scene, and for some of them with the store on Postgres. `Scene`, `suite` and `OnPostgres` are what goes by those names
/// where it stands.
macro_rules! suites {
    ($($name:ident: $scene:ident,)* $(; on postgres $($there:ident: $same:ident,)*)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                suite(Scene::$scene).await;
            }
        )*
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $there() {
                suite(OnPostgres(Scene::$same)).await;
            }
        )*)?
    };
}

pub(crate) use suites;

/// The last of the words for a case whose hook was over before the call that was to be broken.
const OVER_BEFORE: &str = "over before the call";

/// Walks through all cases of a scene, and prints how many there were and what each ended as.
pub async fn suite<S: Scene>(scene: S) {
    let mut first = Stage::set(scene).await;
    let score = score(scene, &mut first).await;
    let mut stages = vec![first];
    while stages.len() < AT_ONCE {
        stages.push(Stage::set(scene).await);
    }
    let stages = &Mutex::new(stages);
    let faults = <<S::Provider as Provider>::World as World>::FAULTS;
    let fits = |read: bool| {
        let calls = (1..).zip(&score).filter(move |(_, call)| call.is_read == read);
        calls.flat_map(|(n, call)| {
            let fitting = (0..).zip(faults).filter(move |(_, fault)| scene.applies(call, **fault));
            fitting.map(move |(place, fault)| (n + place, (n, call.path.clone(), *fault)))
        })
    };
    let looks = score.iter().filter(|call| call.is_read).count();
    let mut cases = by_turns(fits(false).collect(), score.len() - looks, MOST[0]);
    cases.extend(by_turns(fits(true).collect(), looks, MOST[1]));
    let total = cases.len();
    let endings: Vec<String> = futures_util::stream::iter(cases)
        .map(|(n, name, fault)| async move {
            let mut stage = lock(stages).pop().expect("there is one for each case at once");
            let ending = case(scene, &mut stage, n, name, fault).await;
            lock(stages).push(stage);
            ending
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut table: BTreeMap<String, usize> = BTreeMap::new();
    for ending in endings {
        *table.entry(ending).or_default() += 1;
    }
    let never_met: usize =
        table.iter().filter(|(ending, _)| ending.ends_with(OVER_BEFORE)).map(|(_, count)| count).sum();
    assert!(never_met <= total.div_ceil(20), "{scene:?}: {never_met} of {total} faults were never met: {table:?}");
    let possible = fits(false).count() + fits(true).count();
    println!("{scene:?}: {} calls, {} faults, {total} of {possible} cases: {table:?}", score.len(), faults.len());
}

/// About so many of these cases of so many calls, and one for each call at least; all if all are asked for. Neighbouring
/// calls meet different faults, by turns.
fn by_turns<T>(all: Vec<(u32, T)>, calls: usize, most: usize) -> Vec<T> {
    let turns = if is_whole() { 1 } else { all.len().div_ceil(most).min(all.len() / calls.max(1)).max(1) };
    all.into_iter().filter(|(turn, _)| (*turn as usize).is_multiple_of(turns)).map(|(_, case)| case).collect()
}

/// Whether nothing is left out.
pub fn is_whole() -> bool {
    std::env::var_os(ALL).is_some()
}

/// The calls that the hook makes on a healthy panel.
async fn score<S: Scene>(scene: S, stage: &mut Stage<S>) -> Vec<Call<EffectOf<S>>> {
    let (rig, host) = stage.open().await;
    let before = rig.panel().ledger().len();
    let done = match host.send(scene.hook(), scene.body()).await {
        Ok(id) => host.drive(&id).await,
        Err(problem) => panic!("{scene:?}: refused: {problem}"),
    };
    assert_eq!(done.state, State::Succeeded, "{scene:?}: {done:#?}\n{}", trace(rig));
    assert_sound(scene, rig, "healthy");
    scene.assert_done(rig, &service(&host).await, "healthy");
    let calls = rig.panel().ledger().split_off(before);
    host.stop().await;
    calls
}

/// A panel and a folder on which everything has happened that comes before the hook, as often as it is wanted.
struct Stage<S: Scene> {
    rig: Rig<S::Provider>,
    saved: Saved<S::Provider>,
}

impl<S: Scene> Stage<S> {
    async fn set(scene: S) -> Self {
        let rig = scene.rig();
        let host = rig.host().await;
        for &hook in scene.before() {
            let done = host.run(hook, SERVICE).await;
            assert_eq!(done.state, State::Succeeded, "{hook}: {done:#?}");
        }
        host.stop().await;
        scene.prepare(&rig);
        let saved = rig.save();
        Self { rig, saved }
    }

    /// The same moment again, and a host that begins there.
    async fn open(&mut self) -> (&Rig<S::Provider>, Host) {
        self.rig.rewind(&self.saved);
        (&self.rig, self.rig.host().await)
    }
}

/// What another case left there is rewound before it is used.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Breaks the `n`-th call, and goes on until the hook has succeeded. The states on the way, as words.
async fn case<S: Scene>(scene: S, stage: &mut Stage<S>, n: u32, name: String, fault: Fault) -> String {
    let what = format!("{scene:?}, call {n} {name}, {}", fault.name());
    let (rig, host) = stage.open().await;
    let before = rig.panel().ledger().len();
    rig.panel().arm(Plan::nth_call(n, fault));
    let hook = scene.hook();
    let mut states = Vec::new();
    for _ in 0..REPEATS {
        let id = match host.send_with(hook, scene.body(), Some(KEY)).await {
            Ok(id) => id,
            Err(problem) => panic!("{what}: refused: {problem}"),
        };
        let mut ended = host.drive(&id).await;
        states.push(ended.state.as_str());
        assert_sound(scene, rig, &what);
        if ended.state == State::Attention {
            let decision = scene.person(rig).map(|known| if ended.effects.doubted { known } else { Decision::Retry });
            let Some(decision) = decision else {
                panic!("{what}: {:?} {:?}\n{}", ended.reason, ended.fault, trace(rig));
            };
            if let Err(problem) = host.engine.decide(&id, &decision, "uid 0").await {
                panic!("{what}: {decision:?} after {:?} is refused: {problem}", ended.reason);
            }
            ended = host.drive(&id).await;
            states.push(ended.state.as_str());
            assert_sound(scene, rig, &what);
        }
        if ended.state == State::Succeeded {
            scene.assert_done(rig, &service(&host).await, &what);
            break;
        }
    }
    assert_eq!(states.last(), Some(&"succeeded"), "{what}: {states:?}\n{}", trace(rig));
    // How often a panel is looked at until it is done is a matter of milliseconds: a hook may need one look less than the
    // healthy one did, and then its last call is not made.
    if rig.panel().unfired() > 0 {
        let made = rig.panel().ledger().len() - before;
        assert!(made < n as usize, "{what}: the fault was never met, in {made} calls\n{}", trace(rig));
        states.push(OVER_BEFORE);
    }
    host.stop().await;
    states.join(", then ")
}

fn assert_sound<S: Scene>(scene: S, rig: &Rig<S::Provider>, what: &str) {
    scene.assert_at_most_one(rig, what);
    assert_eq!(rig.panel().check(), Vec::<String>::new(), "{what}\n{}", trace(rig));
    assert_eq!(rig.panel().violations(), Vec::<String>::new(), "{what}");
}

async fn service(host: &Host) -> Service {
    host.service(SERVICE).await.expect("the hook has made it known")
}

fn trace<P: Provider>(rig: &Rig<P>) -> String {
    rig.panel().ledger().iter().map(|call| format!("{call:?}\n")).collect()
}

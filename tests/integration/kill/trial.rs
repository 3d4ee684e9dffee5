use super::scenario::{SERVICE, Scenario, kind};
use billhook::operation::State;
use billhook_tests::crash_host::{Answer, Command, Point, Side, Sight, What};
use billhook_tests::harness::{Cut, Process, Provider, Rig};
use billhook_tests::panel::{Call, Fault, Plan, World};
use std::fmt;

type EffectOf<P> = <<P as Provider>::World as World>::Effect;

/// The platform's key of the hook.
const KEY: &str = "order-881";

/// The panel's late work comes this long after the call that asked for it: within the longest run that the provider
/// declares, and long after a host that looks at once would have looked.
const LATE_MS: u64 = 50_000;

/// What an undisturbed run of a scenario does.
pub struct Score<E> {
    calls: Vec<Call<E>>,
    commits: std::ops::RangeInclusive<u64>,
}

/// Runs the hook without a blow, on a process as in the trials.
pub async fn rehearse<P: Provider>(scenario: &Scenario<P>) -> Score<EffectOf<P>> {
    let rig = scenario.prepare().await;
    let before = rig.panel().ledger().len();
    let mut process = Process::start(&rig, None).await;
    let _ = process.ask(Command::Rest).await;
    let (_, first) = counts(&mut process).await;
    let mut caller = Caller::default();
    let sight = caller.live(&mut process, scenario, &mut |_| {}).await.expect("there is no point to stop at");
    assert_eq!(sight.state, scenario.ends, "{}: {sight:?}", scenario.name);
    let (exchanges, last) = counts(&mut process).await;
    process.stop().await;
    let calls = rig.panel().ledger().split_off(before);
    assert_eq!(calls.len() as u64, exchanges, "every exchange reaches the panel");
    // One more than there were: two writes that shared a commit here may have one each the next time. Where they do not,
    // the host is killed when all is done.
    Score { calls, commits: first + 1..=last + 1 }
}

async fn counts(process: &mut Process) -> (u64, u64) {
    match process.ask(Command::Counts).await {
        Ok(Answer::Counts { exchanges, commits }) => (exchanges, commits),
        other => panic!("counts were asked for, not {other:?}"),
    }
}

/// When a host is killed.
#[derive(Debug, Clone)]
pub struct Blow {
    /// Where the process stops by itself; while it waits for the panel otherwise.
    point: Option<Point>,
    /// What the panel does with a call, counted from 1.
    fault: Option<(u32, Fault)>,
    /// Which exchange or commit it is.
    pub place: String,
    /// Which moment of it.
    pub moment: &'static str,
    /// Whether it is an exchange that changes nothing.
    pub is_at_read: bool,
}

impl Blow {
    /// Every blow for a run of this score.
    pub fn all<E>(score: &Score<E>) -> Vec<Self> {
        let mut blows = Vec::new();
        for (n, call) in (1..).zip(&score.calls) {
            let place = format!("exchange {n:>2}, {} {}", call.method, call.bare_path());
            let is_at_read = call.is_read;
            let blow = |moment, point, fault| Self { point, fault, place: place.clone(), moment, is_at_read };
            let at = |side| Some(Point { what: What::Exchange, side, n: n.into() });
            blows.push(blow("before", at(Side::Before), None));
            if !is_at_read {
                let fault = |fault| Some((n, fault));
                blows.push(blow("during, done", None, fault(Fault::Hang { effect: true })));
                blows.push(blow("during, not done", None, fault(Fault::Hang { effect: false })));
                blows.push(blow("during, done late", at(Side::After), fault(Fault::LateEffect { after_ms: LATE_MS })));
            }
            blows.push(blow("after", at(Side::After), None));
        }
        for n in score.commits.clone() {
            for (moment, side) in [("before", Side::Before), ("after", Side::After)] {
                let point = Some(Point { what: What::Commit, side, n });
                let place = format!("commit {n:>4}");
                blows.push(Self { point, fault: None, place, moment, is_at_read: false });
            }
        }
        blows
    }

    /// A blow for the host that takes up what the first one left; neighbours get different ones.
    pub fn after_restart(number: usize) -> Point {
        let what = if number % 4 < 2 { What::Commit } else { What::Exchange };
        let side = if number.is_multiple_of(2) { Side::Before } else { Side::After };
        Point { what, side, n: 1 }
    }
}

/// One scenario, one blow, and perhaps another one for the host after that.
pub struct Trial<P: Provider + 'static> {
    /// What happens.
    pub scenario: &'static Scenario<P>,
    /// When the first host is killed.
    pub blow: Blow,
    /// When the second one is.
    pub second: Option<Point>,
}

/// How a trial went.
#[derive(Debug)]
pub struct Ended {
    /// The state of the operation.
    pub state: State,
    /// Whether the last host found a doubt to settle.
    pub was_doubted: bool,
    /// What is not as it should be.
    pub complaints: Vec<String>,
}

impl<P: Provider> Trial<P> {
    /// Runs it to the end.
    pub async fn run(&self) -> Ended {
        let rig = self.scenario.prepare().await;
        let before = rig.panel().ledger().len();
        if let Some((n, fault)) = self.blow.fault {
            rig.panel().arm(Plan::nth_call(n, fault));
        }
        let mut caller = Caller::default();
        caller.until_killed(&rig, self.scenario, self.blow.point).await;
        if self.second.is_some() {
            caller.until_killed(&rig, self.scenario, self.second).await;
        }

        let mut process = Process::start(&rig, None).await;
        let mut was_doubted = false;
        let sight = caller.live(&mut process, self.scenario, &mut |sight| was_doubted |= sight.is_doubted).await;
        let sight = sight.unwrap_or_else(|Cut(point)| panic!("no point was given, and it stopped at {point}"));
        let mut complaints = caller.complaints(&mut process, self.scenario, &sight).await;
        // The panel may still owe an effect of a call that a dead host sent.
        while rig.panel().late_effects() > 0 {
            process.advance(LATE_MS).await.unwrap_or_else(|Cut(point)| panic!("it stopped at {point}"));
        }
        process.stop().await;
        complaints.extend(self.judge(&rig, before, &sight));
        Ended { state: sight.state, was_doubted, complaints }
    }

    fn judge(&self, rig: &Rig<P>, before: usize, sight: &Sight) -> Vec<String> {
        let panel = rig.panel();
        let mut complaints = panel.check();
        complaints.extend(panel.violations());
        let mut effects: Vec<String> = panel.ledger()[before..]
            .iter()
            .filter(|call| call.effect != EffectOf::<P>::default())
            .map(|call| kind(call.effect))
            .collect();
        effects.sort_unstable();
        effects.dedup_by(|one, other| one == other && self.scenario.repeatable.contains(&one.as_str()));
        let name = self.to_string();
        if sight.state == State::Attention {
            if !self.scenario.attention.iter().any(|(part, _)| name.contains(part)) {
                complaints.push(format!("needs a person, and the panel can be asked: {:?}", sight.reason));
            }
            let once = effects.windows(2).all(|pair| pair[0] != pair[1]);
            if !once || effects.iter().any(|effect| !self.scenario.effects.contains(&effect.as_str())) {
                complaints.push(format!("the panel has seen {effects:?} of {:?}", self.scenario.effects));
            }
        } else {
            if sight.state != self.scenario.ends {
                complaints.push(format!("ended {} instead of {}: {:?}", sight.state, self.scenario.ends, sight.fault));
            }
            let mut expected = self.scenario.effects.to_vec();
            expected.sort_unstable();
            if effects != expected {
                complaints.push(format!("the panel has seen {effects:?} instead of {expected:?}"));
            }
            if !(self.scenario.holds)(panel) {
                complaints.push("the panel is not as it should be".to_owned());
            }
        }
        complaints
    }
}

/// The platform: it remembers what it was told, and sends the hook again while it was told nothing.
#[derive(Debug, Default)]
struct Caller {
    request: Option<u64>,
    operation: Option<String>,
}

impl Caller {
    /// Lives with a host until its operation has ended.
    async fn live<P: Provider>(
        &mut self,
        process: &mut Process,
        scenario: &Scenario<P>,
        look: &mut (dyn FnMut(&Sight) + Send),
    ) -> Result<Sight, Cut> {
        let operation = match &self.operation {
            Some(operation) => operation.clone(),
            None => {
                let request = process.send(Process::hook(scenario.hook, SERVICE, KEY)).await;
                self.request = Some(request);
                let answer = process.answer(request).await?;
                self.hear(&answer)
            }
        };
        process.drive(&operation, look).await
    }

    /// Lives with a host until that has come to its point, or waits for a panel that holds its call; then kills it.
    async fn until_killed<P: Provider>(&mut self, rig: &Rig<P>, scenario: &Scenario<P>, point: Option<Point>) {
        let mut process = Process::start(rig, point).await;
        match point {
            // It may end without coming there: then it is killed after the end.
            Some(_) => drop(self.live(&mut process, scenario, &mut |_| {}).await),
            None => {
                let held = rig.panel().wait_stalled();
                let mut look = |_: &Sight| {};
                tokio::select! {
                    ended = self.live(&mut process, scenario, &mut look) => panic!("no call was held: {ended:?}"),
                    () = held => {}
                }
            }
        }
        process.kill().await;
        // An answer that was written before the kill was given, read or not.
        if self.operation.is_none()
            && let Some(answer) = self.request.and_then(|request| process.answered(request))
        {
            self.hear(&answer.clone());
        }
    }

    fn hear(&mut self, answer: &Answer) -> String {
        match answer {
            Answer::Accepted { operation } => {
                self.operation = Some(operation.clone());
                operation.clone()
            }
            other => panic!("the hook was not accepted: {other:?}"),
        }
    }

    /// What is wrong about the operations of the service, when the hook has ended.
    async fn complaints<P: Provider>(
        &self,
        process: &mut Process,
        scenario: &Scenario<P>,
        sight: &Sight,
    ) -> Vec<String> {
        let mut complaints = Vec::new();
        let operations = match process.ask(Command::Operations { service: SERVICE.to_owned() }).await {
            Ok(Answer::Operations(operations)) => operations,
            other => panic!("operations were asked for, not {other:?}"),
        };
        if operations.len() != scenario.before.len() + 1 {
            complaints.push(format!("there are {} operations: {operations:?}", operations.len()));
        }
        // A repeat of what has failed is asked to try again, and would.
        if sight.state == State::Succeeded {
            let again = process.ask(Process::hook(scenario.hook, SERVICE, KEY)).await;
            match again {
                Ok(Answer::Accepted { operation }) if Some(&operation) == self.operation.as_ref() => {}
                other => complaints.push(format!("a repeat is answered by {other:?}, not by {:?}", self.operation)),
            }
        }
        complaints
    }
}

impl<P: Provider> fmt::Display for Trial<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.scenario.name, self.blow.moment, self.blow.place)?;
        self.second.map_or(Ok(()), |point| write!(f, ", then {point}"))
    }
}
